package linkmodel

import (
	"cmp"
	"fmt"
	"hash/maphash"
	"math/rand/v2"
	"strings"
)

// Result is what an exploration found.
type Result struct {
	States, Steps int
	Complete      bool
	Rounds        [maxRounds + 1]int // how often the two agreed after so many rounds
	Fault         string             // "" or what the package names
	Trace         string             // the steps that led there
}

// Worst is the greatest number of rounds that the two needed.
func (r *Result) Worst() (rounds int) {
	for i, n := range r.Rounds {
		if n > 0 {
			rounds = i
		}
	}
	return rounds
}

// origin is how a state was reached: from which other, by which of its steps.
type origin struct {
	from   int32
	choice uint16
}

type explorer struct {
	Result
	set     *Setting
	seed    maphash.Seed
	seen    map[uint64]struct{}
	origins []origin
}

func newExplorer(set Setting) *explorer {
	e := &explorer{set: &set, seed: maphash.MakeSeed(), seen: make(map[uint64]struct{})}
	e.Complete = true
	return e
}

// isNew reports whether a state was never seen, and notes it.
func (e *explorer) isNew(s *state) bool {
	h := s.hash(e.seed)
	if _, ok := e.seen[h]; ok {
		return false
	}
	if e.set.Limit > 0 && len(e.seen) >= e.set.Limit {
		e.Complete = false
		return false
	}
	e.seen[h] = struct{}{}
	return true
}

// judge reports whether a state is without fault.
func (e *explorer) judge(s *state) bool {
	e.States++
	switch {
	case s.fault != "":
		e.Fault = s.fault
	case len(s.p[0].confirmed()) > confirmedMost || len(s.p[1].confirmed()) > confirmedMost:
		e.Fault = "bounded"
	case e.set.Sample == 0 || e.States%e.set.Sample == 0:
		e.judgeAgreement(s)
	}
	return e.Fault == ""
}

// judgeAgreement lets the two come to agree.
func (e *explorer) judgeAgreement(s *state) {
	rounds := s.agrees()
	e.Rounds[rounds]++
	switch {
	case rounds == 0:
		e.Fault = cmp.Or(s.fault, "agree")
	case rounds > 1 && !s.cutOff && s.p[0].n+s.p[1].n > 0:
		e.Fault = "parted"
	}
}

// Explore visits all states, the nearest first, up to the first fault.
func Explore(set Setting) Result {
	e := newExplorer(set)
	first := begin(e.set)
	e.isNew(first)
	e.origins = []origin{{from: -1}}
	queue := []*state{first}
	for at := 0; len(queue) > 0 && e.Complete; at++ {
		s := queue[0]
		queue[0] = nil
		queue = queue[1:]
		for choice, t := range s.next() {
			e.Steps++
			if !e.isNew(t) {
				continue
			}
			e.origins = append(e.origins, origin{int32(at), uint16(choice)})
			if !e.judge(t) {
				e.Trace = e.trace(len(e.origins) - 1)
				return e.Result
			}
			queue = append(queue, t)
		}
	}
	return e.Result
}

// trace goes the way to a state again, and says what happens on it.
func (e *explorer) trace(at int) string {
	var way []uint16
	for ; e.origins[at].from >= 0; at = int(e.origins[at].from) {
		way = append(way, e.origins[at].choice)
	}
	var text strings.Builder
	s := begin(e.set)
	for i := len(way) - 1; i >= 0; i-- {
		s = s.next()[way[i]]
		fmt.Fprintln(&text, s.did)
	}
	return text.String()
}

// Walk goes at random, so many times and so deep.
func Walk(set Setting, seed uint64, walks, depth int) Result {
	e := newExplorer(set)
	e.Complete = false
	r := rand.New(rand.NewPCG(seed, 1))
	for range walks {
		if !e.walk(r, depth) {
			break
		}
	}
	return e.Result
}

func (e *explorer) walk(r *rand.Rand, depth int) bool {
	s := begin(e.set)
	var text strings.Builder
	for range depth {
		list := s.next()
		if len(list) == 0 {
			break
		}
		s = list[r.IntN(len(list))]
		e.Steps++
		fmt.Fprintln(&text, s.did)
		if e.isNew(s) && !e.judge(s) {
			e.Trace = text.String()
			return false
		}
	}
	return true
}

// String is a line of a trace.
func (d step) String() string {
	who := d.what + " " + string('A'+rune(d.side))
	if d.msg.kind == 0 {
		return who
	}
	return who + ": " + d.msg.String()
}

// String shows a message.
func (m message) String() string {
	k := m.k
	kinds := [...]string{open: "Open", offer: "Offer", data: "link"}
	text := fmt.Sprintf("%s by %c%d.%d", kinds[m.kind], 'A'+rune(k.side), k.gen, k.tok)
	switch {
	case m.kind == open:
		return fmt.Sprintf("%s rank %d", text, k.rank)
	case m.kind == offer:
		return fmt.Sprintf("%s rank %d stamp %d held %d", text, k.rank, k.stamp, m.held)
	case m.confirm:
		text = "Confirm, " + text
	}
	return fmt.Sprintf("%s rank %d stamp %d, number %d", text, k.rank, k.stamp, m.number)
}
