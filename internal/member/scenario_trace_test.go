package member

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// sighting is something that one process came to believe, or an action of the script.
type sighting struct {
	at     time.Duration
	who    int // 0: nobody, it is an action
	about  int // 0: nobody else
	what   string
	others []int // who could have seen it
}

// trace collects what the processes of a scenario believe, as they come to believe it.
type trace struct {
	*society
	list  []sighting
	seen  map[*citizen]int // events of it that are in the list
	incs  map[*citizen]uint32
	views map[*citizen][]*View
}

func newTrace(s *society) *trace {
	t := &trace{society: s, seen: map[*citizen]int{}, incs: map[*citizen]uint32{}, views: map[*citizen][]*View{}}
	s.after = append(s.after, t.look)
	return t
}

// look takes down what is new for a process.
func (t *trace) look(c *citizen) {
	for _, e := range c.events[t.seen[c]:] {
		t.add(c, numberOf(e.Addr), e.News.String())
	}
	t.seen[c] = len(c.events)
	if c.inc > max(t.incs[c], 1) {
		t.add(c, 0, fmt.Sprint("raises its incarnation to ", c.inc))
	}
	t.incs[c] = c.inc
	t.lookAtTables(c)
}

func (t *trace) lookAtTables(c *citizen) {
	is := c.View()
	for p, before := range Counterparts(is, t.views[c]) {
		if before == nil {
			before = &View{}
		}
		for change, name := range RowChanges(before, p) {
			verb := map[RowChange]string{RowAdded: "offers ", RowRemoved: "withdraws "}[change]
			t.add(c, numberOf(p.Addr), verb+name)
		}
	}
	t.views[c] = is
}

func (t *trace) add(c *citizen, about int, what string) {
	var others []int
	for _, l := range t.live() {
		if n := numberOf(l.cfg.Self); n != about {
			others = append(others, n)
		}
	}
	slices.Sort(others)
	t.list = append(t.list, sighting{at: t.age(), who: numberOf(c.cfg.Self), about: about, what: what, others: others})
}

// note takes down an action.
func (t *trace) note(what string) {
	t.list = append(t.list, sighting{at: t.age(), what: what})
}

// forgetSightings leaves the actions.
func (t *trace) forgetSightings() {
	t.list = slices.DeleteFunc(t.list, func(s sighting) bool { return s.who != 0 })
}

// age is how long the society is there. What comes within the same millisecond is told as one: it takes a datagram 0.1
// ms to arrive.
func (t *trace) age() time.Duration { return t.now.Sub(time.Unix(0, 0)).Truncate(time.Millisecond) }

// String is the trace as it stands in the file.
func (t *trace) String() string {
	var b strings.Builder
	for _, l := range mergeSeen(mergeSeers(t.list)) {
		fmt.Fprintln(&b, l)
	}
	return b.String()
}

// shared is a sighting of several.
type shared struct {
	sighting
	by []int
}

// mergeSeers puts those together who saw the same at the same time. What one saw of a node stays in its order.
func mergeSeers(list []sighting) (merged []shared) {
	for _, s := range list {
		if same := findSame(merged, s); same != nil {
			same.by = append(same.by, s.who)
			slices.Sort(same.by)
			continue
		}
		merged = append(merged, shared{sighting: s, by: []int{s.who}})
	}
	return merged
}

func findSame(list []shared, s sighting) *shared {
	for i := len(list) - 1; i >= 0 && list[i].at == s.at && list[i].who != 0 && s.who != 0; i-- {
		l := &list[i]
		switch {
		case l.about != s.about:
		case slices.Contains(l.by, s.who):
			return nil
		case l.what == s.what:
			return l
		}
	}
	return nil
}

// traceLine is a line of the trace: what several have seen at the same time of one or several.
type traceLine struct {
	at    time.Duration
	by    string
	about []int
	what  string
}

// mergeSeen puts lines together that tell the same of several nodes.
func mergeSeen(list []shared) (lines []traceLine) {
	for _, s := range list {
		l := traceLine{at: s.at, by: s.seers(), what: s.what}
		if s.about != 0 {
			l.about = []int{s.about}
		}
		if same := findLine(lines, l); same != nil {
			same.about = append(same.about, s.about)
			slices.Sort(same.about)
			continue
		}
		lines = append(lines, l)
	}
	return lines
}

// findLine finds a line that tells the same of other nodes, and after which nothing else is told of this one.
func findLine(lines []traceLine, of traceLine) *traceLine {
	for i := len(lines) - 1; i >= 0 && len(of.about) > 0 && lines[i].at == of.at && lines[i].by != ""; i-- {
		l := &lines[i]
		switch {
		case slices.Contains(l.about, of.about[0]):
			return nil
		case len(l.about) > 0 && l.by == of.by && l.what == of.what:
			return l
		}
	}
	return nil
}

// seers is "all" if everybody who could has seen it, and empty for an action.
func (s *shared) seers() string {
	switch {
	case s.who == 0:
		return ""
	case len(s.by) > 1 && slices.Equal(s.by, s.others):
		return "all"
	}
	return formatNodes(s.by)
}

func (l traceLine) String() string {
	line := fmt.Sprintf("%.3fs ", l.at.Seconds())
	if l.by != "" {
		line += "  " + l.by + ": "
	}
	if len(l.about) > 0 {
		line += formatNodes(l.about) + " "
	}
	return line + l.what
}

// What several saw is told once, and what one saw stays in its order.
func TestTraceIsMerged(t *testing.T) {
	s := newSociety(t)
	tr := newTrace(s)
	msec := time.Millisecond
	all := []int{1, 2, 3, 5}
	tr.list = []sighting{
		{at: msec, what: "kill 4"},
		{at: msec, who: 2, about: 4, what: "suspect", others: all},
		{at: msec, who: 2, about: 6, what: "suspect", others: all},
		{at: msec, who: 1, about: 4, what: "suspect", others: all},
		{at: msec, who: 1, about: 4, what: "up", others: all},
		{at: msec, who: 1, about: 4, what: "suspect", others: all},
		{at: 2 * msec, who: 5, about: 4, what: "up", others: all},
		{at: 2 * msec, who: 3, about: 4, what: "up", others: all},
		{at: 2 * msec, who: 2, about: 4, what: "up", others: all},
		{at: 2 * msec, who: 1, about: 4, what: "up", others: all},
		{at: 2 * msec, who: 1, what: "raises its incarnation to 2", others: all},
		{at: 3 * msec, who: 1, about: 5, what: "up"},
		{at: 3 * msec, who: 2, about: 4, what: "offline"},
		{at: 3 * msec, who: 1, about: 3, what: "up"},
		{at: 3 * msec, who: 1, about: 4, what: "up"},
	}
	require.Equal(t, `0.001s kill 4
0.001s   1-2: 4 suspect
0.001s   2: 6 suspect
0.001s   1: 4 up
0.001s   1: 4 suspect
0.002s   all: 4 up
0.002s   1: raises its incarnation to 2
0.003s   1: 3,5 up
0.003s   2: 4 offline
0.003s   1: 4 up
`, tr.String())
}
