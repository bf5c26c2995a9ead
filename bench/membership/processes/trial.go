package main

import (
	"math"
	"net/netip"
	"slices"
	"time"

	"broach"
)

// never is a time that did not come.
const never = time.Duration(math.MaxInt64)

// A sign is an event about the victim by which the others know.
type sign struct {
	kind    broach.EventKind
	service string
}

// A mark is something that this program did.
type mark struct {
	when time.Time
	text string
}

// A trial is one scenario as it went.
type trial struct {
	scenario
	victim    netip.AddrPort   // not valid: nothing happens
	others    []netip.AddrPort // that shall know
	cause     time.Time        // when it happened
	again     time.Time        // when the victim ran again; zero: it did not
	marks     []mark
	sightings []sighting
	tally     tally
}

// mark notes what is done now.
func (t *trial) mark(text string) time.Time {
	m := mark{time.Now(), text}
	t.marks = append(t.marks, m)
	return m.when
}

// known says how long after the cause the first of the others knew, and all did.
func (t *trial) known() (first, all time.Duration) { return t.spread(t.cause, t.news) }

// back says how long after it ran again all others had the victim back.
func (t *trial) back() time.Duration {
	_, all := t.spread(t.again, t.comeback)
	return all
}

// spread says how long after a time the first of the others saw a sign, and the last.
func (t *trial) spread(from time.Time, s sign) (first, last time.Duration) {
	first = never
	for _, by := range t.others {
		took := t.saw(by, from, s)
		first, last = min(first, took), max(last, took)
	}
	return first, last
}

// saw says how long after a time a node saw a sign for the first time.
func (t *trial) saw(by netip.AddrPort, from time.Time, s sign) time.Duration {
	took := never
	for _, one := range t.sightings {
		if one.By == by && one.About == t.victim && (sign{one.Kind, one.Service}) == s && !one.When.Before(from) {
			took = min(took, one.When.Sub(from))
		}
	}
	return took
}

// surprises are the events that tell of trouble where there is none.
func (t *trial) surprises() (list []sighting) {
	type verdict struct {
		by   netip.AddrPort
		kind broach.EventKind
	}
	told := make(map[verdict]bool)
	for _, s := range t.sightings {
		v := verdict{s.By, s.Kind}
		if isTrouble(s.Kind) && (told[v] || !t.deserves(s)) {
			list = append(list, s)
		}
		told[v] = told[v] || t.deserves(s)
	}
	return list
}

// deserves says that another calls the victim suspect or offline while it is dead or stopped. Once is right.
func (t *trial) deserves(s sighting) bool {
	return t.news.kind == broach.MemberOffline && s.About == t.victim && slices.Contains(t.others, s.By) &&
		s.Kind != broach.MemberUnreachable
}

func isTrouble(k broach.EventKind) bool {
	return k == broach.MemberSuspect || k == broach.MemberOffline || k == broach.MemberUnreachable
}

// alarms counts the surprises by which a node stops calling one that lives; doubts are the others.
func (t *trial) alarms() (alarms, doubts int) {
	for _, s := range t.surprises() {
		if s.Kind == broach.MemberSuspect {
			doubts++
		} else {
			alarms++
		}
	}
	return alarms, doubts
}
