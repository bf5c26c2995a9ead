package broach

import (
	"context"
	"fmt"
	"sync"
	"time"

	"broach/internal/member"
	"broach/internal/wire"
)

const departPoll = 2 * time.Millisecond // between two looks at this process's own calls

// Leave ends the node without losing a call. It asks the peers to begin no more calls to it, serves those in flight to
// their end, waits for this process's own calls and the runs of its timers, and closes: a function must not call it,
// which would wait for itself. Streams without a deadline end at once, as Draining. In a rolling restart no caller
// notices anything else, as long as others offer the same functions. From when the last peer has agreed, which takes a
// round trip and as long as the longest call in flight, this process's new calls fail with ErrClosed.
//
// If ctx ends first, the node closes at once, as by Close, and the error, which matches ctx's, says what was cut short.
// Leave returns ErrClosed if the node is closed already. It may be called by many goroutines at once.
func (n *Node) Leave(ctx context.Context) error {
	n.serving.timetable.close()
	n.serving.provider.feeds.leave()
	err := n.do(n.loop.members.Drain)
	if err != nil {
		return err
	}
	err = n.seeOff(orEndless(ctx))
	_ = n.Close()
	return err
}

// seeOff waits until no call is in flight, in either direction.
func (n *Node) seeOff(ctx context.Context) error {
	select {
	case <-n.serving.drainedc:
	case <-n.donec:
		return ErrClosed
	case <-ctx.Done():
		return fmt.Errorf("broach: leave: peers still had calls here, or did not answer: %w", ctx.Err())
	}
	n.serving.provider.reads.leave()
	tick := time.NewTicker(departPoll)
	defer tick.Stop()
	for n.isCalling() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("broach: leave: this node still had calls in flight: %w", ctx.Err())
		}
	}
	return nil
}

// isCalling reports whether a call of this process is in flight, to a peer or to itself.
func (n *Node) isCalling() bool {
	for _, l := range n.linking.tokens.All() {
		if l.record.Inflight.Load() > 0 {
			return true
		}
	}
	s := n.serving.pool.Stats()
	return s.Running+s.Queued > 0
}

// noteDrained begins to refuse calls once no peer makes any.
func (n *Node) noteDrained() {
	if n.loop.members.IsDrained() && n.serving.refusing.CompareAndSwap(false, true) {
		close(n.serving.drainedc)
	}
}

// feeds are streams without a deadline, those that run here or those that are read here. A node that leaves does not
// wait for them: they would go on for as long as their readers like. They may be used by many goroutines at once.
type feeds struct {
	mu        sync.Mutex              // protects all below: workers begin and end them, Leave ends them all
	running   map[any]func(why error) // by a *request, or the *streams of a call of this node
	isLeaving bool
}

func (f *feeds) begin(of any, end func(why error)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.isLeaving {
		end(ErrDraining)
	}
	if f.running == nil {
		f.running = make(map[any]func(error))
	}
	f.running[of] = end
}

func (f *feeds) end(of any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.running, of)
}

// leave ends those that run, and all that begin.
func (f *feeds) leave() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.isLeaving = true
	for _, end := range f.running {
		end(ErrDraining)
	}
}

// answerDrain tells a peer that none of our calls to it is in flight, if so. A call that begins meanwhile sees that it
// must not, or is seen here: it counts itself first, and then looks.
func (n *Node) answerDrain(token uint64) {
	l := n.linking.tokens.Link(token)
	if l == nil {
		return
	}
	l.record.Draining.Store(true)
	if l.record.Inflight.Load() == 0 {
		n.send([]member.Message{{Link: token, Msg: wire.Drain{Answer: true}}})
	}
}
