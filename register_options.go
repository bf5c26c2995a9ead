package broach

import (
	"cmp"
	"errors"
	"fmt"
	"sync/atomic"
	"unicode/utf8"

	"broach/internal/wire"
)

const maxWeight = 1000

// RegisterOption says more about a function.
type RegisterOption func(*registered)

// registered is what the options of Register say of a function.
type registered struct {
	idempotent bool
	doc        string
	weight     int          // 0: none said
	most       int          // runs at once; 0: any number
	running    atomic.Int64 // of them, if there is a limit
	paused     atomic.Bool  // it is not to be called now: see SetServing
	wrong      []error      // options that cannot be

	interceptors []Interceptor // those of the node before those of the options; not written to
}

// Idempotent says that the function may run twice for one call, with no more effect than once. A call of it that may or may not
// have run, because its provider died, is then made again at another.
func Idempotent() RegisterOption { return func(r *registered) { r.idempotent = true } }

// Doc is a text about the function for its callers, at most 1,024 bytes, which Node.Services shows everywhere.
func Doc(text string) RegisterOption {
	return func(r *registered) {
		if r.doc = text; len(text) > wire.MaxDoc || !utf8.ValidString(text) {
			r.wrong = append(r.wrong, fmt.Errorf("the Doc must be at most %d bytes of UTF-8", wire.MaxDoc))
		}
	}
}

// Weight is the share of calls that this provider wants under the Weighted strategy, relative to those of the others: 1 to 1000.
// Without it a provider has 100.
func Weight(n int) RegisterOption {
	return func(r *registered) {
		if r.weight = n; n < 1 || n > maxWeight {
			r.wrong = append(r.wrong, fmt.Errorf("the Weight is %d, must be from 1 to %d", n, maxWeight))
		}
	}
}

// MaxConcurrent is how many calls of the function run at once in this process, at least 1. One more is Overloaded, and its caller
// asks another provider.
func MaxConcurrent(n int) RegisterOption {
	return func(r *registered) {
		if r.most = n; n < 1 {
			r.wrong = append(r.wrong, fmt.Errorf("MaxConcurrent is %d, must be 1 or more", n))
		}
	}
}

// apply takes the options up.
func (r *registered) apply(opts []RegisterOption) error {
	for _, o := range opts {
		o(r)
	}
	return errors.Join(r.wrong...)
}

// weightAt is the weight, or what stands for none.
func (r *registered) weightAt() int { return cmp.Or(r.weight, weightUnsaid) }

// enter counts a call that is to run. It reports false if too many do; else leave must follow.
func (r *registered) enter() bool {
	if r.most == 0 {
		return true
	}
	if r.running.Add(1) <= int64(r.most) {
		return true
	}
	r.running.Add(-1)
	return false
}

func (r *registered) leave() {
	if r.most > 0 {
		r.running.Add(-1)
	}
}
