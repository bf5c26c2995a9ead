package broach

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"runtime"
	"time"

	"broach/internal/pace"
	"broach/internal/tally"
	"broach/internal/wire"
)

// Pool bounds the workers that run handlers. Zero fields are the defaults.
type Pool struct {
	Core      int           // workers that stay, up to 1,048,576; 0 is the number of CPUs, or Max if that is less
	Max       int           // handlers running at once, Core to 1,048,576; 0 is 4096, or Core if that is more
	Queue     int           // requests waiting for a worker, up to 16,777,216; 0 is 65536
	GrowAt    int           // waiting requests at which a worker beyond Core is added, up to Queue; 0 is 1
	KeepAlive time.Duration // how long an idle worker beyond Core stays; 0 is 9 s
	// RejectWhenFull: at a full queue true answers Overloaded; false runs the request before the next one is taken in
	RejectWhenFull bool
}

// A blocked goroutine costs a few KiB: thousands are cheap, and handlers that wait for each other need them.
const (
	defaultMaxWorkers = 4096
	defaultQueue      = 65536
	defaultKeepAlive  = 9 * time.Second // as in the Python programs' configuration files
)

// pool is Pool with its defaults. Max is never under Core, whichever of the two was set and however many CPUs there
// are.
func (c Config) pool() Pool {
	p := c.Pool
	p.Max = cmp.Or(p.Max, max(defaultMaxWorkers, p.Core))
	p.Core = cmp.Or(p.Core, min(runtime.NumCPU(), p.Max))
	p.Queue = cmp.Or(p.Queue, defaultQueue)
	p.GrowAt = cmp.Or(p.GrowAt, 1)
	p.KeepAlive = cmp.Or(p.KeepAlive, defaultKeepAlive)
	return p
}

// provider is what requests need of the node that runs them.
type provider struct {
	ctx        context.Context // ends with the node
	addr       func() netip.AddrPort
	log        *journal
	panics     pace.LogLimit // of the lines about them
	losses     pace.LogLimit // of those about one-way calls that failed
	failures   pace.LogLimit // and about others
	tracing    *tracing      // nil: no Tracer
	feeds      feeds         // that run here
	reads      feeds         // of calls by this node
	unknown    *tally.Cell   // counts calls of names that are not offered here
	began      time.Time     // see at
	maxMessage int           // bytes of results
}

// at is a time by the clock of requests, in a third of the room that one takes.
func (p *provider) at(now time.Time) time.Duration { return now.Sub(p.began) }

// now is the time by that clock alone, for two thirds of what time.Now costs, which reads the wall's too: that is not
// set with it, so such a time is for being compared with others of this process.
func (p *provider) now() time.Time { return p.began.Add(time.Since(p.began)) }

// logPanic tells this node, and nobody else, with what and where user code panicked.
func (p *provider) logPanic(service string, v any, stack []byte) {
	if suppressed, ok := p.panics.Allow(time.Now()); ok {
		p.log.Error("broach: function panicked", "service", service, "panic", wire.Shortened(fmt.Sprint(v)),
			"stack", string(stack), "suppressed", suppressed)
	}
}

// noteLoss tells what a one-way call failed with: nobody else hears it.
func (p *provider) noteLoss(r *request, err *Error, code Code) {
	if suppressed, ok := p.losses.Allow(time.Now()); ok {
		p.log.Warn("broach: a one-way call failed", "service", r.function.name, "from", r.from(), "code", code,
			"err", withoutArguments(err), "suppressed", suppressed)
	}
}
