package balance

import (
	"slices"
	"sync/atomic"
	"time"
)

const (
	// misfitsMost is how many are remembered of one function: a program has few kinds of arguments for a name, and its
	// providers few versions
	misfitsMost = 32
	// misfitKept is how long: an argument that does not fit by its value alone, as a large number, is no reason to
	// leave a signature to others for ever
	misfitKept = 10 * time.Second
)

// Misfits is what was learnt of signatures that arguments do not fit, so that the next call with such arguments goes
// where they may. The zero value knows nothing, and costs a load. Many calls use it at once.
type Misfits struct{ list atomic.Pointer[misfits] }

// misfits are those that were seen, by age. A list is not written to.
type misfits []misfit

type misfit struct {
	shape     uint64 // of the arguments; two may have the same by chance, which costs them no more than a choice
	signature string
	at        time.Time
}

// isOver reports whether it is to be found out again.
func (f *misfit) isOver(now time.Time) bool { return now.Sub(f.at) >= misfitKept }

// IsEmpty reports whether nothing was learnt, so that nobody needs to know the shape of arguments.
func (m *Misfits) IsEmpty() bool { return m.list.Load() == nil }

// Learn takes up that arguments of a shape did not fit a signature. What was learnt longest ago makes room.
func (m *Misfits) Learn(now time.Time, shape uint64, signature string) {
	for {
		old := m.list.Load()
		var list misfits
		if old != nil {
			list = slices.DeleteFunc(slices.Clone(*old), func(f misfit) bool {
				return f.isOver(now) || f.shape == shape && f.signature == signature
			})
		}
		list = append(list[max(0, len(list)+1-misfitsMost):], misfit{shape, signature, now})
		if m.list.CompareAndSwap(old, &list) {
			return
		}
	}
}

// Of lists the signatures that arguments of a shape did not fit lately.
func (m *Misfits) Of(now time.Time, shape uint64) (signatures []string) {
	list := m.list.Load()
	if list == nil {
		return nil
	}
	for _, f := range *list {
		if f.shape == shape && !f.isOver(now) {
			signatures = append(signatures, f.signature)
		}
	}
	if newest := (*list)[len(*list)-1]; newest.isOver(now) {
		m.list.CompareAndSwap(list, nil)
	}
	return signatures
}
