package dashboard

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"broach"
)

// Calls that people make by the form. Each is logged with who made it, never with what went along.

type callRequest struct {
	Name    string
	Args    string // a JSON array, as a text: a browser would round large integers
	Meta    map[string]string
	On      string // the only node that may be called; "": any
	Mode    string // "": one answer; "all": that of each provider; "send": none
	Timeout int    // ms; 0: 6 s
}

type callAnswer struct {
	Replies  []replyRow
	Attempts int     // how many providers were asked
	Took     float64 // µs
}

type replyRow struct {
	Node, Value             string `json:",omitempty"`
	Cut                     bool   `json:",omitempty"`
	Code, Message, Executed string `json:",omitempty"` // Code is "" where it went well
}

const (
	callTimeout     = 6 * time.Second
	callTimeoutMost = 5 * time.Minute
	repliesMost     = 256
)

func (p *page) call(w http.ResponseWriter, r *http.Request, caller string) {
	var in callRequest
	if !p.read(w, r, &in) {
		return
	}
	if !p.set.mayCall(in.Name) {
		refuse(w, http.StatusForbidden, "the function is none of those that AllowCalls names")
		return
	}
	asked := new(asked)
	d, c, args, err := p.prepare(r.Context(), &in, asked)
	if _, isOfCluster := errors.AsType[*broach.Error](err); isOfCluster { // the function may just have gone
		answer(w, http.StatusOK, callAnswer{Replies: []replyRow{replyOf(netip.AddrPort{}, nil, err)}})
		return
	}
	if err != nil {
		refuse(w, http.StatusBadRequest, err.Error())
		return
	}
	timeout := min(time.Duration(in.Timeout)*time.Millisecond, callTimeoutMost)
	if timeout <= 0 {
		timeout = callTimeout
	}
	ctx, cancel := context.WithTimeout(r.Context(), timeout)
	defer cancel()
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(timeout + writeMost)) // fine: as with streams
	began := time.Now()
	mode := in.Mode
	if d.StreamsOut {
		mode = "stream"
	}
	out := callAnswer{Replies: repliesOf(ctx, c, mode, args)}
	out.Took = float64(time.Since(began).Microseconds())
	asked.tell(mode, &out)
	p.set.logger.Info("dashboard: call", "function", in.Name, "by", caller, "from", r.RemoteAddr,
		"code", out.Replies[0].Code)
	answer(w, http.StatusOK, out)
}

// prepare makes a Caller and its arguments of what the form says.
func (p *page) prepare(ctx context.Context, in *callRequest, asked *asked) (
	d broach.Description, c *broach.Caller, args []any, err error,
) {
	if d, err = p.n.Describe(ctx, in.Name); err != nil {
		return d, nil, nil, err
	}
	if args, err = arguments(&d, in.Args); err != nil {
		return d, nil, nil, err
	}
	var opts []broach.CallOption
	for key, value := range in.Meta {
		opts = append(opts, broach.Meta(key, value))
	}
	if in.On != "" {
		addr, err := netip.ParseAddrPort(in.On)
		if err != nil {
			return d, nil, nil, err
		}
		opts = append(opts, broach.On(addr))
		asked.attempts, asked.last = 1, addr // nobody is chosen
	}
	return d, p.n.Caller(in.Name, append(opts, broach.Balance(asked))...), args, nil
}

// asked chooses providers as calls do by themselves, and notes them.
type asked struct {
	mu       sync.Mutex // protects the rest: an attempt that was given up may still be choosing
	attempts int
	last     netip.AddrPort
}

func (a *asked) Pick(call broach.CallInfo, from []broach.Provider) int {
	i := broach.LeastLoaded().Pick(call, from)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.attempts, a.last = a.attempts+1, from[i].Addr
	return i
}

// tell says who answered, and how many were asked until then.
func (a *asked) tell(mode string, out *callAnswer) {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch out.Attempts = a.attempts; {
	case mode == "all":
		out.Attempts = len(out.Replies)
	case a.attempts > 0:
		out.Replies[0].Node = a.last.String()
	}
}

// repliesOf makes the call. There is one reply at least.
func repliesOf(ctx context.Context, c *broach.Caller, mode string, args []any) (list []replyRow) {
	switch mode {
	case "all":
		for r := range c.All(ctx, args...) {
			if len(list) < repliesMost {
				list = append(list, replyOf(r.Node, r.Value, r.Err))
			}
		}
		return list
	case "stream":
		return itemsOf(ctx, c, args)
	case "send":
		return append(list, replyOf(netip.AddrPort{}, nil, c.Send(ctx, args...)))
	}
	v, err := c.Call(ctx, args...)
	return append(list, replyOf(netip.AddrPort{}, v, err))
}

// itemsOf are the items of a stream, as many as are shown: leaving the loop gives the call up.
func itemsOf(ctx context.Context, c *broach.Caller, args []any) (list []replyRow) {
	size := 0
	for v, err := range broach.Stream[any](ctx, c, args...) {
		r := replyOf(netip.AddrPort{}, v, err)
		size += len(r.Value)
		r.Cut = r.Cut || len(list) == repliesMost-1 || size > resultMost
		if list = append(list, r); r.Cut {
			return list
		}
	}
	if len(list) == 0 {
		return []replyRow{{Value: "[]"}}
	}
	return list
}

func replyOf(node netip.AddrPort, v any, err error) (r replyRow) {
	if node.IsValid() {
		r.Node = node.String()
	}
	if e, ok := errors.AsType[*broach.Error](err); ok {
		r.Code, r.Message, r.Executed = e.Code.String(), e.Message, e.Executed.String()
		if r.Node == "" {
			r.Node = e.Node
		}
		return r
	}
	r.Value, r.Cut = textOf(v)
	return r
}

// leave ends the node, as a rolling restart does. The page ends with it.
func (p *page) leave() {
	ctx, cancel := context.WithTimeout(context.Background(), leaveMost)
	defer cancel()
	_ = p.n.Leave(ctx) // fine: it has ended in any case
}
