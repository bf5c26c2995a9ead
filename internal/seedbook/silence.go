package seedbook

import "time"

const (
	silentFirst = 3 * time.Second // after which the log tells that no seed answers
	absentFirst = time.Minute     // and after which that one does not, where another has: it may start a little later

	tellAgain   = time.Minute // after the log was told of something; each wait is twice as long,
	tellSlowest = time.Hour   // up to this
)

// rarely is when the log is told again of something that goes on. The zero value tells at once.
type rarely struct {
	at  time.Time
	gap time.Duration
}

// isDue reports whether the log is to tell now, and then plans the next time.
func (r *rarely) isDue(now time.Time) bool {
	if now.Before(r.at) {
		return false
	}
	r.gap = min(max(2*r.gap, tellAgain), tellSlowest)
	r.at = now.Add(r.gap)
	return true
}

// Silence is that no seed answers. The zero value knows of none.
type Silence struct{ telling rarely }

// IsTold reports whether the log is to tell now of a silence that goes on, or has ended.
func (s *Silence) IsTold(now time.Time, goesOn bool) bool {
	switch {
	case !goesOn:
		s.telling = rarely{}
	case s.telling.at.IsZero():
		s.telling.at = now.Add(silentFirst)
	default:
		return s.telling.isDue(now)
	}
	return false
}

// Next is when IsTold is to be asked again. Zero: when no seed answers.
func (s *Silence) Next() time.Time { return s.telling.at }

// Absence is that a node has joined by some of its seeds, and has never met others. The zero value waits for that.
type Absence struct {
	at     time.Time // when to look
	isOver bool
}

// IsDue reports whether it is time to look who is absent: once, when the node has joined for a while.
func (a *Absence) IsDue(now time.Time, isJoined bool) bool {
	switch {
	case a.isOver:
	case !isJoined:
		a.at = time.Time{}
	case a.at.IsZero():
		a.at = now.Add(absentFirst)
	case !now.Before(a.at):
		*a = Absence{isOver: true}
		return true
	}
	return false
}

// Next is when IsDue is to be asked again. Zero: when the node has joined, or never.
func (a *Absence) Next() time.Time { return a.at }
