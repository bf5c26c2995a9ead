package broach

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"time"

	"broach/internal/balance"
	"broach/internal/udp"
)

// CallOption changes how a Caller calls: of Node.Caller, Caller.With, Bind and BindAll. Of two that say different
// things the later one counts.
type CallOption func(*callOptions)

// callOptions is what the options of a Caller say.
type callOptions struct {
	timeout  time.Duration // 0: Config.CallTimeout, if ctx has no deadline
	retries  int
	balancer Balancer // nil: LeastLoaded
	key      string
	on       netip.AddrPort // the only node to be called, if valid
	local    LocalMode
	meta     map[string]string // not written to
	event    audience          // to whom it goes, if it is an event
	group    string            // the application of those who may have it, for oneOfGroup
	hedged   bool
	hedge    time.Duration   // until one more provider is asked, if hedged
	waits    bool            // for a provider
	strict   bool            // a provider with other fields is no provider
	policy   *balance.Policy // of the breakers it heeds; nil: the usual one
	heed     balance.Heed    // which of its breakers it heeds at first
	wrong    []error         // mistakes in its options

	isStreaming bool          // the call streams, or may
	streamIdle  time.Duration // 0: any time

	interceptors []Interceptor // not written to
	kind         CallKind      // of what is not an event, for a Tracer; Send says itself that it is OneWay
}

// retriesUnsaid is how many more providers are asked where no option says so.
const retriesUnsaid = 3

// Timeout ends each call after d, above 0, or when its ctx ends, if sooner.
func Timeout(d time.Duration) CallOption {
	return func(o *callOptions) {
		if o.timeout = d; d <= 0 {
			o.wrong = append(o.wrong, fmt.Errorf("the Timeout is %v, must be more than 0", d))
		}
	}
}

// StreamIdle ends a call whose results stream, as DeadlineExceeded, when its loop has waited in vain for d, above 0.
// Without it such a call may wait as long as its ctx and [Timeout] let it, while its provider lives.
func StreamIdle(d time.Duration) CallOption {
	return func(o *callOptions) {
		if o.streamIdle = d; d <= 0 {
			o.wrong = append(o.wrong, fmt.Errorf("the StreamIdle is %v, must be more than 0", d))
		}
	}
}

// Retries is how many more providers are asked when one did not run the call: because it is gone, is leaving, has no
// room, does not offer the function any more, or offers it with a signature that the arguments do not fit while another
// offers it with another; and, if the function is Idempotent, also when it may have run it.
// Without this option it is 3. A provider is asked once. Retries of calls that a provider had no room for, or may have
// run, wait a little and are limited, for all calls of the node together, to 10 and a fifth of the calls in each
// second, so that they do not add to an overload. Calls that were in flight to a provider that is found to be gone are
// not: however many they were, others take them over.
func Retries(n int) CallOption {
	return func(o *callOptions) {
		if o.retries = n; n < 0 {
			o.wrong = append(o.wrong, fmt.Errorf("Retries is %d, must be 0 or more", n))
		}
	}
}

// NoRetry is Retries(0).
func NoRetry() CallOption { return Retries(0) }

// Hedge keeps a slow provider from making calls slow: if no answer has come after that time, another provider is asked
// too, and so on after each such time, up to Retries more; the first answer counts, the others are given up. A sensible
// time is one in which nearly all calls are answered. Hedge(0) asks them all at once: the first of so many. A provider
// that cannot take it is replaced at once.
//
// A hedged function may run more than once for one call. So this changes nothing for functions that not all providers
// have registered as Idempotent, nor for Send or All. Asking one more counts for the limit that Retries tells of: where
// that is used up, calls go on with the providers they have. Hedge contradicts On, Local(LocalOnly) and NoRetry.
func Hedge(after time.Duration) CallOption {
	return func(o *callOptions) {
		if o.hedged, o.hedge = true, after; after < 0 {
			o.wrong = append(o.wrong, fmt.Errorf("Hedge is %v, must be 0 or more", after))
		}
	}
}

// WaitReady has a call that finds no provider wait for one until its deadline, in place of failing at once: nobody
// offers the function, all who do are offline, leaving or paused, or their breakers are open. If none comes it is
// DeadlineExceeded, Executed No, with what was waited for. All waits until there is one provider. A call that was in
// flight to a provider which is Unreachable waits for another one, too, if the function is Idempotent and there is no
// NoRetry; in vain it is Executed Maybe. Else a call that has found a provider fails as any other, also if its
// arguments do not fit there. Calls that wait wake up when something changes in the cluster, or, where a provider is
// there but refuses, after a second.
func WaitReady() CallOption { return func(o *callOptions) { o.waits = true } }

// Balance chooses the provider of each call by b.
func Balance(b Balancer) CallOption {
	return func(o *callOptions) {
		if o.balancer = b; b == nil {
			o.wrong = append(o.wrong, errors.New("the Balancer is nil"))
		}
	}
}

// Key sends all calls with the same key to the same provider, as long as it can be called: the Sticky strategy.
func Key(key string) CallOption {
	return func(o *callOptions) { o.key, o.balancer = key, Sticky() }
}

// On calls the node at that address and no other. If it does not offer the function, or cannot be called, the error is
// Unavailable.
func On(addr netip.AddrPort) CallOption {
	return func(o *callOptions) {
		if o.on = udp.Unmapped(addr); !addr.IsValid() {
			o.wrong = append(o.wrong, errors.New("On has no address"))
		}
	}
}

// LocalMode says who runs a call of a function that the calling node offers.
type LocalMode uint8

const (
	LocalFirst LocalMode = iota // it runs here, or elsewhere if its arguments fit only there
	LocalEqual                  // this node is one provider among the others
	LocalNever                  // another node runs it
	LocalOnly                   // it runs here, also if this node does not offer it: then the error is Unavailable
)

// Local says what becomes of a call when this node offers the function itself. Without it that is LocalFirst.
func Local(mode LocalMode) CallOption {
	return func(o *callOptions) {
		if o.local = mode; mode > LocalOnly {
			o.wrong = append(o.wrong, fmt.Errorf("there is no Local mode %d", mode))
		}
	}
}

// BreakerPolicy says when a function that fails at a provider again and again is left alone there, and how long. Zero
// fields are the defaults.
type BreakerPolicy struct {
	// Failures without a success among them open the breaker, up to 1,000,000; 0 is 5
	Failures int `msgpack:"f,omitempty"`
	// Window is that of mere overload, being late or having no room, before it opens, up to 24 h; 0 is 1 s
	Window time.Duration `msgpack:"w,omitempty"`
	// Pause is how long it is until one call tries again, up to 24 h; 0 is 5 s
	Pause time.Duration `msgpack:"p,omitempty"`
}

// Breaker has the calls heed breakers of that policy, which all calls of the node under the same policy share, and no
// others; the defaults are what calls without this option have. There is one for each function at each provider, which
// is passed over while it is open: for overload only while there is another. PeerStats.Breakers shows them. Of one
// function at one provider the breakers of 8 policies are kept, those that failed last.
func Breaker(p BreakerPolicy) CallOption {
	return func(o *callOptions) {
		policy := balance.Policy(p).OrUsual()
		o.policy, o.heed = &policy, balance.HeedAll
		if err := p.check(); err != nil {
			o.wrong = append(o.wrong, err)
		}
	}
}

const (
	failuresMost = 1_000_000
	breakerMost  = 24 * time.Hour
)

// check reports what is wrong with a policy.
func (p BreakerPolicy) check() error {
	switch {
	case p.Failures < 0 || p.Failures > failuresMost:
		return fmt.Errorf("the Failures of a Breaker are %d, must be from 0 to 1,000,000", p.Failures)
	case p.Window < 0 || p.Window > breakerMost:
		return fmt.Errorf("the Window of a Breaker is %v, must be from 0 to 24h", p.Window)
	case p.Pause < 0 || p.Pause > breakerMost:
		return fmt.Errorf("the Pause of a Breaker is %v, must be from 0 to 24h", p.Pause)
	}
	return nil
}

// NoBreaker has the calls heed no breaker, and open and close none.
func NoBreaker() CallOption { return func(o *callOptions) { o.heed = balance.HeedNone } }

// Strict refuses calls to a provider whose structs have other fields than this program's. Without it fields that only
// one side has are lost, and the log tells of them once. With it such a call goes to a provider with the same fields;
// if there is none it is InvalidArgument, Executed No, and names the fields. Structs in arguments and results are
// compared, and those within them. What an any holds is not, nor are arguments beyond the eighth, types with methods of
// their own, and a map where the other side has a struct.
//
// The first call to each provider waits for its [Node.Describe], which is kept. A provider that cannot is passed over;
// with none left it is Unavailable.
func Strict() CallOption { return func(o *callOptions) { o.strict = true } }

// Meta sends a text along with each call: the function finds it with InvocationFrom, and the calls that it makes with
// its context carry it on, unless they say something else under the same key. A key has 1 to 255 bytes of UTF-8 and
// does not begin with a NUL byte. All keys and values of a call together have at most 8,192 bytes, with 3 more for
// each. They are no secret from anyone whom the call reaches.
func Meta(key, value string) CallOption {
	return func(o *callOptions) {
		if err := checkMetaKey(key); err != nil {
			o.wrong = append(o.wrong, err)
			return
		}
		o.meta = maps.Clone(o.meta) // another Caller may have it too
		if o.meta == nil {
			o.meta = make(map[string]string)
		}
		o.meta[key] = value
	}
}

// CallInterceptors adds Interceptors to the calls of a Caller, within those of Config.CallInterceptors and of earlier
// options.
func CallInterceptors(list ...Interceptor) CallOption {
	return func(o *callOptions) {
		if hasNil(list) {
			o.wrong = append(o.wrong, errNilInterceptor)
			return
		}
		o.interceptors = slices.Concat(o.interceptors, list) // another Caller may have the old ones
	}
}

// apply takes more options up.
func (o callOptions) apply(opts []CallOption) callOptions {
	if err := applyEach(opts, &o); err != nil {
		o.wrong = append(o.wrong, err)
	}
	if o.on.IsValid() && o.local >= LocalNever {
		o.wrong = append(o.wrong, errors.New("On and Local contradict each other"))
	}
	if err := o.againstHedge(); err != nil {
		o.wrong = append(o.wrong, err)
	}
	return o
}

// applyEach takes options of any kind up. The error is that one of them is nil.
func applyEach[T any, O ~func(*T)](opts []O, to *T) (err error) {
	for _, opt := range opts {
		if opt == nil {
			err = errors.New("an option is nil")
			continue
		}
		opt(to)
	}
	return err
}

// With returns a Caller of the same function with more options. If an option is mistaken, each call returns an
// InvalidArgument.
func (c *Caller) With(opts ...CallOption) *Caller {
	return &Caller{node: c.node, name: c.name, opts: c.opts.apply(opts), counts: c.counts}
}
