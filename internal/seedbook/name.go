package seedbook

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"
)

// The host names among the seeds. Each is looked up by itself, once for each family, and all side by side: one whose
// name server does not answer keeps nobody else waiting. What a look-up has found stays until another finds something
// else: a name server that fails takes no seed away.

const (
	// after a look-up of a name that has led nowhere yet; each wait is twice as long,
	lookUpFirst = 500 * time.Millisecond
	lookUpLost  = 5 * time.Second // up to this, and so often while no process is met at any of its addresses
	lookUpMet   = time.Minute     // and while one is: it may move
	lookUpSlow  = 5 * time.Second // after which a first look-up counts as failed, though it goes on
)

// families are what a name is looked up for, in the words of package net.
var families = [...]string{"ip4", "ip6"}

// Name is a seed that was given by the name of its host.
type Name struct {
	Seed
	lookUps [len(families)]lookUp
	telling rarely
}

// lookUp is how far we are with a name in one family.
type lookUp struct {
	found []netip.AddrPort // what can be sent to, of the last answer with any
	unfit int              // addresses in the last answer that this socket cannot send to
	err   error            // of the last one
	tried bool             // one has ended, or is slow
	busy  bool             // one is under way
	began time.Time        // the last one
	gap   time.Duration    // until the next, while the name leads nowhere
}

var errSlowLookUp = errors.New("the name servers do not answer")

// isUndecided reports that it is not known yet whether the name leads anywhere.
func (s *Name) isUndecided() bool {
	return !s.isKnown() && slices.ContainsFunc(s.lookUps[:], func(l lookUp) bool { return !l.tried })
}

// isKnown reports that a look-up has found an address that can be sent to.
func (s *Name) isKnown() bool {
	return slices.ContainsFunc(s.lookUps[:], func(l lookUp) bool { return len(l.found) > 0 })
}

// leadsNowhere reports that all has been tried and nothing was found.
func (s *Name) leadsNowhere() bool { return !s.isKnown() && !s.isUndecided() }

// addrs are all that is known of where the name leads.
func (s *Name) addrs() (list []netip.AddrPort) {
	for _, l := range s.lookUps {
		list = append(list, l.found...)
	}
	return list
}

// Errs are what the last look-ups said, and unfit how many addresses they found that this socket cannot send to.
func (s *Name) Errs() (errs []error, unfit int) {
	for _, l := range s.lookUps {
		unfit += l.unfit
		if l.err != nil {
			errs = append(errs, l.err)
		}
	}
	return errs, unfit
}

// Trouble says why a name leads nowhere.
func (s *Name) Trouble() string {
	errs, unfit := s.Errs()
	switch {
	case s.isUndecided():
		return s.Text + ": its name is being looked up"
	case unfit > 0:
		return s.Text + ": its name leads only to addresses that this node's socket cannot send to:" +
			" bind it to another family"
	}
	return fmt.Sprint(s.Text, ": its name leads to no address: check it, and the name servers: ", errs)
}

// next is when a family is to be looked up. isMet says that a process is met at one of the addresses.
func (s *Name) next(family int, isMet bool) time.Time {
	l := &s.lookUps[family]
	switch {
	case !l.tried:
		return l.began
	case isMet:
		return l.began.Add(lookUpMet)
	case s.isKnown():
		return l.began.Add(lookUpLost)
	}
	return l.began.Add(l.gap)
}

// end takes the end of a look-up. What was known stays if it has found nothing.
func (l *lookUp) end(found []netip.AddrPort, unfit int, err error) {
	l.busy, l.tried, l.unfit, l.err = false, true, unfit, err
	l.gap = min(max(2*l.gap, lookUpFirst), lookUpLost)
	if len(found) > 0 {
		l.found = found
	}
}

// IsTold reports whether the log is to tell now that the name leads nowhere.
func (s *Name) IsTold(now time.Time) bool { return s.leadsNowhere() && s.telling.isDue(now) }
