package link

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"broach/internal/buffer"
	"broach/internal/codec"
	"broach/internal/udp"
	"broach/internal/wire"
)

// tape is a transport that keeps what is sent until the test says what becomes of it.
type tape struct {
	addr   netip.AddrPort
	counts udp.Stats

	mu     sync.Mutex
	sent   [][]byte
	tails  [][]byte // what of that was sent from where it was
	onSend func()   // called by the flusher after each write, if set
	most   int      // bytes of a datagram that the system takes; 0: any
}

func (s *tape) Receive([]udp.Datagram, bool) (int, error) { panic("the test delivers") }
func (s *tape) Waited() bool                              { return true }
func (s *tape) LocalAddr() netip.AddrPort                 { return s.addr }
func (s *tape) Stats() *udp.Stats                         { return &s.counts }
func (s *tape) Close() error                              { return nil }

func (s *tape) Send(out []udp.Datagram) (int, error) {
	s.mu.Lock()
	refused := 0
	for i, d := range out {
		if s.most > 0 && d.Len() > s.most {
			out[i].TooLong = true
			refused++
			continue
		}
		s.sent = append(s.sent, slices.Concat(d.B, d.Tail))
		if d.Tail != nil {
			s.tails = append(s.tails, d.Tail)
		}
	}
	s.mu.Unlock()
	if s.onSend != nil {
		s.onSend()
	}
	return len(out) - refused, nil
}

// take returns what was sent since the last take.
func (s *tape) take() [][]byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	sent := s.sent
	s.sent = nil
	return sent
}

// frameOf is a Request as a caller makes it.
func frameOf(service string, args []any) *buffer.Buffer {
	frame := buffer.New()
	frame.B = wire.Request{Service: []byte(service)}.Append(frame.B)
	if err := (&codec.Arguments{List: args}).AppendTo(frame, 1<<30); err != nil {
		panic(err)
	}
	frame.B = wire.SetLength(frame.B)
	return frame
}

// wordsOf tells what is in datagrams, in words.
func wordsOf(t *testing.T, datagrams ...[]byte) (all []string) {
	t.Helper()
	for _, d := range datagrams {
		_, rest, err := wire.ConsumeHeader(d)
		require.NoError(t, err)
		for len(rest) > 0 {
			kind, body, after, err := wire.ConsumeMessage(rest)
			require.NoError(t, err)
			all = append(all, inWord(t, kind, body))
			rest = after
		}
	}
	return all
}

func inWord(t *testing.T, kind wire.Kind, body []byte) string {
	switch kind {
	case wire.KindRequest:
		m, err := wire.ConsumeRequest(body)
		require.NoError(t, err)
		return fmt.Sprintf("Request %d/%d", m.Slot, m.Seq)
	case wire.KindReply:
		m, err := wire.ConsumeReply(body)
		require.NoError(t, err)
		return fmt.Sprintf("Reply %d/%d code %d executed %d", m.Slot, m.Seq, m.Code, m.Executed)
	case wire.KindProgress, wire.KindPoll, wire.KindCancel:
		m, err := wire.ConsumeProgress(body)
		require.NoError(t, err)
		name := map[wire.Kind]string{wire.KindProgress: "Progress", wire.KindPoll: "Poll",
			wire.KindCancel: "Cancel"}[kind]
		return fmt.Sprintf("%s %d/%d", name, m.Slot, m.Seq)
	case wire.KindFragment:
		m, err := wire.ConsumeFragment(body)
		require.NoError(t, err)
		return fmt.Sprintf("Fragment %d/%d", m.Transfer, m.Index)
	case wire.KindFragmentAck:
		m, err := wire.ConsumeFragmentAck(body)
		require.NoError(t, err)
		return fmt.Sprintf("FragmentAck %d base %d", m.Transfer, m.Base)
	case wire.KindStop:
		m, err := wire.ConsumeStop(body)
		require.NoError(t, err)
		return fmt.Sprintf("Stop %d by receiver %v code %d", m.Transfer, m.ByReceiver, m.Code)
	}
	return fmt.Sprintf("kind %d", kind)
}

// kindsOf lists the messages in a datagram of a link that is not sealed.
func kindsOf(b []byte) (kinds []wire.Kind) {
	h, rest, err := wire.ConsumeHeader(b)
	if err != nil || h.Form != wire.FormLink {
		return nil
	}
	for len(rest) > 0 {
		kind, _, after, err := wire.ConsumeMessage(rest)
		if err != nil {
			return kinds
		}
		kinds, rest = append(kinds, kind), after
	}
	return kinds
}

// garble is bytes that do not look alike.
func garble(n int) []byte {
	b := make([]byte, n)
	rng := rand.NewPCG(uint64(n), 1)
	for i := range b {
		b[i] = byte(rng.Uint64())
	}
	return b
}
