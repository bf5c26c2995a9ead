package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"broach"
)

const (
	serveWithin = 5 * time.Second        // how long a program has to serve where it was told to
	offerWithin = time.Second            // how long it has, from then on, to offer what the one before offers
	knownWithin = 2 * time.Second        // how long the members have to know of that
	askAgain    = 110 * time.Millisecond // a member answers ten times a second
)

// errEnded says that the program has ended before it served.
var errEnded = errors.New("the new program ended at once")

// awaitKnown waits until all members know of the functions of a program that was started.
func (d *developer) awaitKnown(ctx context.Context, next *child, cfg broach.Config) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		select {
		case <-next.donec:
			cancel(errEnded)
		case <-ctx.Done():
		}
	}()
	cfg.Guest, cfg.Join = true, []string{next.addr}
	node, err := broach.Start(cfg)
	if err != nil {
		return err
	}
	defer node.Close()
	serving, stop := context.WithTimeout(ctx, serveWithin)
	defer stop()
	if err := node.WaitJoined(serving); err != nil && ctx.Err() == nil {
		d.say("the program does not serve at %s, as $BROACH_ADDR says: is --fixed what you want?", next.addr)
		return nil
	}
	s := &session{Node: node, seed: netip.MustParseAddrPort(next.addr)}
	s.awaitOffered(ctx, d.offeredBefore(ctx, s))
	s.awaitEverybody(ctx)
	return context.Cause(ctx)
}

// again reports, until a time has passed, that it is time to ask once more.
func again(ctx context.Context, began time.Time, within time.Duration) bool {
	select {
	case <-time.After(askAgain):
		return time.Since(began) < within
	case <-ctx.Done():
		return false
	}
}

// offeredBefore are the functions of the program before, as it says.
func (d *developer) offeredBefore(ctx context.Context, s *session) []string {
	if d.current == nil || d.current.addr == "" {
		return nil
	}
	asking, cancel := context.WithTimeout(ctx, inspectWithin)
	defer cancel()
	at := netip.MustParseAddrPort(d.current.addr)
	v, err := s.Inspect(asking, at, broach.ViewServices)
	if err != nil {
		return nil
	}
	return offeredBy(v, at)
}

func offeredBy(v broach.View, at netip.AddrPort) (names []string) {
	for _, f := range v.Services {
		if slices.Contains(f.Providers, at) {
			names = append(names, f.Name)
		}
	}
	return names
}

// awaitOffered waits until the program has joined, and offers functions: what the one before does, or it has had time.
func (s *session) awaitOffered(ctx context.Context, wanted []string) {
	for began := time.Now(); ; {
		v, err := s.Inspect(ctx, s.seed, broach.ViewServices, broach.ViewStats)
		has := offeredBy(v, s.seed)
		isAll := !slices.ContainsFunc(wanted, func(name string) bool { return !slices.Contains(has, name) })
		if err == nil && v.Stats.Joined && len(has) > 0 && isAll || !again(ctx, began, offerWithin) {
			return
		}
	}
}

// awaitEverybody waits until all members have the same to say of what the program offers.
func (s *session) awaitEverybody(ctx context.Context) {
	for began := time.Now(); ; {
		seed, all, err := s.everybody(ctx, broach.ViewServices)
		own := fmt.Sprint(offeredBy(seed, s.seed))
		isKnown := !slices.ContainsFunc(all, func(a answer) bool {
			return a.err == nil && own != fmt.Sprint(offeredBy(a.view, s.seed))
		})
		if err == nil && isKnown || !again(ctx, began, knownWithin) {
			return
		}
	}
}
