package broach

import (
	"log/slog"
	"net/netip"
	"strings"
	"time"

	"broach/internal/logqueue"
	"broach/internal/member"
	"broach/internal/pace"
	"broach/internal/seedbook"
	"broach/internal/wire"
)

// logGrace is how long Close waits for lines that the Logger did not get yet.
const logGrace = time.Second

// journal is the log of a node: where whoever has something to say leaves a line.
type journal struct {
	*logqueue.Queue
	details pace.LogLimit // of the lines for debugging
}

func newJournal(c Config) *journal {
	return &journal{Queue: logqueue.New(c.logger().Handler(), c.leastLevel(), c.loudest)}
}

// What the log tells at debug: what becomes of contacts and calls, one by one. Never arguments or results.

// detailBurst is how many such lines a second are said.
const detailBurst = 100

// isDebugging reports whether the log takes such lines. It is asked before one is made.
func (j *journal) isDebugging() bool { return j.Wants(slog.LevelDebug) }

// detail says one, if the log takes them and there were not too many.
func (j *journal) detail(now time.Time, text string, args ...any) {
	if !j.isDebugging() {
		return
	}
	if suppressed, ok := j.details.AllowOf(now, detailBurst); ok {
		j.Debug(text, append(args, "suppressed", suppressed)...)
	}
}

// noteSize tells of another packet size.
func (j *journal) noteSize(now time.Time, peer netip.AddrPort, size int) {
	j.detail(now, "broach: the packet size of a path has changed", "addr", peer, "bytes", size)
}

// noteOpens tells whom Opens go to.
func (j *journal) noteOpens(now time.Time, opens []member.Open) {
	if !j.isDebugging() {
		return
	}
	for _, o := range opens {
		j.detail(now, "broach: an address is contacted", "addr", o.To)
	}
}

// noteArrival tells of an answer to that, and of links that others began.
func (j *journal) noteArrival(now time.Time, a arrival) {
	switch {
	case !j.isDebugging():
	case a.made != nil:
		j.detail(now, "broach: a process has made a link", "addr", a.made.ID.Addr)
	case a.offer != nil:
		j.detail(now, "broach: an address answers, and offers a link", "addr", a.offer.Addr, "from", a.offer.From)
	}
}

// noteSilent tells of requests that were sent again and again with nothing heard.
func (j *journal) noteSilent(now time.Time, peer netip.AddrPort) {
	if j.isDebugging() {
		j.detail(now, "broach: requests were sent again, and nothing says that they arrive: the peer is probed",
			"addr", peer)
	}
}

// noteRetry tells of a call that is made again at another provider.
func (c *Caller) noteRetry(now time.Time, failed *Error) {
	if c.node.log.isDebugging() && !wire.IsOwn(c.name) {
		c.node.log.detail(now, "broach: a call is made at another provider",
			"service", c.name, "failed", failed.Node, "code", failed.Code, "err", failed.Message)
	}
}

// noteFailed tells what a call failed with that this node was to run, or has run.
func (p *provider) noteFailed(r *request, err *Error, code Code) {
	if r.isUnknown() || !p.log.Wants(slog.LevelDebug) {
		return
	}
	if suppressed, ok := p.failures.AllowOf(time.Now(), detailBurst); ok {
		p.log.Debug("broach: a call failed here", "service", r.function.name, "from", r.from(), "code", code,
			"executed", err.Executed, "err", withoutArguments(err), "suppressed", suppressed)
	}
}

// withoutArguments is the text of an error for the log. That of a refused argument may quote it: only which one it was
// is said.
func withoutArguments(err *Error) string {
	if err.Code == InvalidArgument && err.Executed == No && strings.HasPrefix(err.Message, "argument ") {
		which, _, _ := strings.Cut(err.Message, ": ")
		return which + " does not fit"
	}
	return wire.Shortened(err.Message)
}

// noteUnknown tells of a call of a function that this node does not offer.
func (j *journal) noteUnknown(from netip.AddrPort, service []byte) {
	if j.isDebugging() {
		j.detail(time.Now(), "broach: a function is called that this node does not offer",
			"service", wire.Shortened(string(service)), "from", from)
	}
}

// What the log tells of those who are not let in, so that the operator of either side finds out why.

// textUnopened says of datagrams that no key opens what may be wrong.
func (r *reader) textUnopened() string {
	if r.linking.wires.Ring.Load() == nil {
		return "broach: datagrams that no key of this node opens, for it has none: give it the Keys of its cluster"
	}
	return "broach: datagrams that no key of this node opens: who sends them has other Keys, or none"
}

// noteSeed notes what came from a seed that makes no member of it.
func (r *reader) noteSeed(from netip.AddrPort, came seedbook.Answer) {
	if r.linking.gate.IsSeed(from) {
		r.seedNotes.Note(from, came)
	}
}

// tellOf tells the operator of who sent a datagram.
func (r *reader) tellOf(now time.Time, from netip.AddrPort, text string) {
	if r.told.IsNew(now, from) {
		r.log.Warn(text, "from", from)
	}
}

// tellOfBoth tells of the address that it advertises, too.
func (r *reader) tellOfBoth(now time.Time, from, advertised netip.AddrPort, text string) {
	if r.told.IsNew(now, from) {
		r.log.Warn(text, "from", from, "advertised", advertised)
	}
}

// tellUnheard tells the operator of who asks for a link again and again and takes none: it is not reached by what is
// offered. It hears nothing, so its own log cannot say why; ours can. Where it advertises another address than it sends
// from, that is most likely the reason: NAT, a container, or a wrong port.
func (r *reader) tellUnheard(now time.Time, from, advertised netip.AddrPort) {
	if from == advertised { // it may be that one of us has too much to do
		r.log.detail(now, "broach: a node asks for a link again and again and takes none: does what this node sends"+
			" to it arrive?", "addr", advertised)
		return
	}
	r.tellOfBoth(now, from, advertised, "broach: a node asks for a link from another address than it advertises, and"+
		" hears nothing at that one: set its Advertise to an address and port at which it is reached, through NAT too")
}
