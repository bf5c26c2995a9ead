package transfer

// An ending is what became of a transfer, as its receiver remembers it.
type ending uint8

const (
	notEnded  ending = iota
	delivered        // its fragments are answered with the final acknowledgement
	dropped          // stopped by its sender, or silent for too long: its fragments are refused
)

// endings remembers how the newest transfers ended, [FRAG-8]. Those that lie idsRemembered or more below newest count
// as delivered: no sender has an unfinished one so far back, see maxIDSpread. The zero value remembers nothing.
type endings struct {
	newest    uint32 // the last id of the newest word below
	delivered [idsRemembered / 64]uint64
	dropped   [idsRemembered / 64]uint64
}

// add records how a transfer ended. The first record stays.
func (e *endings) add(id uint32, how ending) {
	if e.of(id) != notEnded {
		return
	}
	e.reach(id)
	word, bit := place(id)
	if how == delivered {
		e.delivered[word] |= bit
	} else {
		e.dropped[word] |= bit
	}
}

func (e *endings) of(id uint32) ending {
	ahead := int32(id - e.newest)
	if ahead > 0 {
		return notEnded
	}
	word, bit := place(id)
	if ahead <= -idsRemembered || e.delivered[word]&bit != 0 {
		return delivered
	}
	if e.dropped[word]&bit != 0 {
		return dropped
	}
	return notEnded
}

// reach brings the word of id into view, and empties those that come with it: a leap costs no more than emptying them
// all.
func (e *endings) reach(id uint32) {
	ahead := int32(id - e.newest)
	if ahead <= 0 {
		return
	}
	e.newest = id | 63
	for i := uint32(0); i < min(uint32(ahead), idsRemembered); i += 64 {
		word, _ := place(e.newest - i)
		e.delivered[word], e.dropped[word] = 0, 0
	}
}

func place(id uint32) (word int, bit uint64) {
	id %= idsRemembered
	return int(id / 64), 1 << (id % 64)
}
