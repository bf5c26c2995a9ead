package member

import (
	"slices"
	"time"

	"broach/internal/wire"
)

// Over the limit of members a process is let in by some and not by others, who say so. Those who are let in go on
// naming the others in Lists, and would make it ask them all again and again.

const declinedFor = time.Minute // how long who has no room for us is not contacted because others name it

// declined are the processes that had no room for us, and until when that counts. They are as many as may be contacted.
type declined map[wire.Process]time.Time

// isFresh reports whether a process had no room for us a moment ago.
func (d declined) isFresh(now time.Time, id wire.Process) bool { return now.Before(d[id]) }

// noteDeclined notes that a process has no room for us.
func (m *Membership) noteDeclined(now time.Time, id wire.Process) {
	if m.declined == nil || len(m.declined) >= contactsMax {
		m.declined = make(declined)
	}
	m.declined[id] = now.Add(declinedFor)
	delete(m.joining.missing, id.Addr)
}

// refused reports whether a message ends a link of ours that was not confirmed: the other end does not want it, and
// never was a member for us.
func (m *Membership) refused(now time.Time, link uint64, msg wire.Message) bool {
	if _, ok := msg.(wire.Leave); !ok {
		return false
	}
	i := slices.IndexFunc(m.provings, func(pr *proving) bool { return pr.token == link })
	if i < 0 {
		return false
	}
	m.noteDeclined(now, m.provings[i].Process)
	m.Unmade(link)
	m.out.Close, m.out.Changed = append(m.out.Close, link), true
	return true
}
