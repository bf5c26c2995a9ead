package broach

import (
	"errors"
	"fmt"
	"time"
)

const (
	jitterUnsaid     = -1
	jitterShare      = 20 // of the period, unless Jitter says something else
	timerNameMax     = maxName - len(timerPrefix)
	timerPrefix      = "\x00c" // before a name, in the service table
	timerPeriodLeast = 10 * time.Millisecond
)

// TimerOption says more about a timer.
type TimerOption func(*timerOptions)

type timerOptions struct {
	name   string // of OneOwner
	shared bool   // OneOwner was said
	jitter time.Duration
	wrong  []error // options that cannot be
}

// OneOwner makes one node in the whole cluster run the timer: one of those that have a timer of this name. All of them agree who that
// is, and their periods should be the same. When the owner leaves or dies, which is noticed within about a second, another goes on: d
// after the last run, or as soon as that is noticed. A node that comes may become the owner; the run in between is done by the old one.
//
// That is no lock: while the cluster is cut in two, each part has an owner, and a run of a node that leaves, is cut off, or was stopped for
// a while may overlap with that of its successor. The name has 1 to 198 bytes of UTF-8 without control characters, else it is an
// InvalidArgument, as is a name that this node has a timer of already. It has nothing to do with names of functions.
func OneOwner(name string) TimerOption {
	return func(o *timerOptions) {
		o.name, o.shared = name, true
		if err := checkWord("name of the timer", name, timerNameMax); err != nil {
			o.wrong = append(o.wrong, err)
		}
	}
}

// Jitter makes each run late by a random time below most, so that many instances do not fire at once: from 0, which is none, to the
// period. Without it most is a twentieth of the period.
func Jitter(most time.Duration) TimerOption {
	return func(o *timerOptions) {
		if o.jitter = most; most < 0 {
			o.wrong = append(o.wrong, fmt.Errorf("the Jitter is %v, must not be negative", most))
		}
	}
}

// timerOptionsOf takes the options of a timer up.
func timerOptionsOf(d time.Duration, opts []TimerOption) (timerOptions, error) {
	o := timerOptions{jitter: jitterUnsaid}
	for _, opt := range opts {
		opt(&o)
	}
	switch {
	case d < timerPeriodLeast:
		o.wrong = append(o.wrong, fmt.Errorf("the period must be %v or more", timerPeriodLeast))
	case o.jitter == jitterUnsaid:
		o.jitter = d / jitterShare
	case o.jitter > d:
		o.wrong = append(o.wrong, fmt.Errorf("the Jitter is %v, must not be more than the period", o.jitter))
	}
	return o, errors.Join(o.wrong...)
}
