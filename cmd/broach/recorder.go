package main

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"broach"
)

// recorder is a Tracer that remembers how calls went: which providers were tried, when each attempt ended, and how.
type recorder struct {
	mu       sync.Mutex
	began    time.Time
	attempts []attempt
	ends     []attempt // of calls
}

// attempt is one provider that was tried, or how a call ended.
type attempt struct {
	number int
	at     netip.AddrPort
	after  time.Duration // since the call began
	err    error
}

// StartCall begins to look at a call.
func (r *recorder) StartCall(ctx context.Context, _ string, _ broach.CallKind) (context.Context, broach.Span) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.began.IsZero() {
		r.began = time.Now()
	}
	return ctx, r
}

// StartServe looks at nothing: a guest serves nobody.
func (r *recorder) StartServe(ctx context.Context, _ string, _ broach.CallKind, _ netip.AddrPort, _ map[string]string) (
	context.Context, broach.Span,
) {
	return ctx, nil
}

// Carry sends nothing along.
func (r *recorder) Carry() []string { return nil }

// Attempt remembers one.
func (r *recorder) Attempt(to netip.AddrPort, n int, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.attempts = append(r.attempts, attempt{n, to, time.Since(r.began), err})
}

// End remembers how a call ended.
func (r *recorder) End(to netip.AddrPort, _ time.Duration, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ends = append(r.ends, attempt{len(r.ends) + 1, to, time.Since(r.began), err})
}

// report says it on stderr, a line for each attempt.
func (r *recorder) report(a *app, took time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, t := range r.attempts {
		a.say("attempt %d at %v: %s after %s", t.number, t.at, t.outcome(), short(t.after))
	}
	a.say("%s, %s in all", counted(len(r.attempts), "attempt"), short(took))
}

func (t *attempt) outcome() string {
	if t.err == nil {
		return "answered"
	}
	return t.err.Error()
}
