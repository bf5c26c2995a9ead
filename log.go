package broach

import (
	"log/slog"
	"net/netip"
	"strings"
	"time"

	"broach/internal/logqueue"
	"broach/internal/member"
	"broach/internal/wire"
)

// logGrace is how long Close waits for lines that the Logger did not get yet.
const logGrace = time.Second

// newLogQueue is the log of a node: where whoever has something to say leaves a line.
func newLogQueue(c Config) *logqueue.Queue {
	return logqueue.New(c.logger().Handler(), c.leastLevel(), c.loudest)
}

// What the log tells at debug: what becomes of contacts and calls, one by one. Never arguments or results.

// detailBurst is how many such lines a second are said.
const detailBurst = 100

// isDebugging reports whether the log takes such lines. It is asked before one is made.
func (n *Node) isDebugging() bool { return n.log.Wants(slog.LevelDebug) }

// detail says one, if the log takes them and there were not too many.
func (n *Node) detail(now time.Time, text string, args ...any) {
	if !n.isDebugging() {
		return
	}
	if suppressed, ok := n.details.AllowOf(now, detailBurst); ok {
		n.log.Debug(text, append(args, "suppressed", suppressed)...)
	}
}

// noteSize tells of another packet size.
func (n *Node) noteSize(now time.Time, peer netip.AddrPort, size int) {
	n.detail(now, "broach: the packet size of a path has changed", "addr", peer, "bytes", size)
}

// noteOpens tells whom Opens go to.
func (n *Node) noteOpens(now time.Time, opens []member.Open) {
	if !n.isDebugging() {
		return
	}
	for _, o := range opens {
		n.detail(now, "broach: an address is contacted", "addr", o.To)
	}
}

// noteArrival tells of an answer to that, and of links that others began.
func (n *Node) noteArrival(now time.Time, a arrival) {
	switch {
	case !n.isDebugging():
	case a.made != nil:
		n.detail(now, "broach: a process has made a link", "addr", a.made.ID.Addr)
	case a.offer != nil:
		n.detail(now, "broach: an address answers, and offers a link", "addr", a.offer.Addr, "from", a.offer.From)
	}
}

// noteSilent tells of requests that were sent again and again with nothing heard.
func (n *Node) noteSilent(now time.Time, peer netip.AddrPort) {
	if n.isDebugging() {
		n.detail(now, "broach: requests were sent again, and nothing says that they arrive: the peer is probed",
			"addr", peer)
	}
}

// noteRetry tells of a call that is made again at another provider.
func (c *Caller) noteRetry(now time.Time, failed *Error) {
	if c.node.isDebugging() && !wire.IsOwn(c.name) {
		c.node.detail(now, "broach: a call is made at another provider",
			"service", c.name, "failed", failed.Node, "code", failed.Code, "err", failed.Message)
	}
}

// noteFailed tells what a call failed with that this node was to run, or has run.
func (p *provider) noteFailed(r *request, err *Error, code Code) {
	if r.function == nil || !p.log.Wants(slog.LevelDebug) {
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
func (n *Node) noteUnknown(from netip.AddrPort, service []byte) {
	if n.isDebugging() {
		n.detail(time.Now(), "broach: a function is called that this node does not offer",
			"service", wire.Shortened(string(service)), "from", from)
	}
}
