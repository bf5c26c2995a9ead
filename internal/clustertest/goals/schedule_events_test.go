package goals

import (
	"context"
	"fmt"
	"maps"
	"net"
	"slices"
	"time"

	"broach"
	"broach/internal/clustertest"
	"broach/internal/simnet"

	"github.com/stretchr/testify/require"
)

// What happens in random schedules.

const (
	usualDelay = 300 * time.Microsecond
	slowDelay  = 100 * time.Millisecond // a round trip of 200 ms
)

func (s *schedule) note(format string, args ...any) {
	s.did = append(s.did, fmt.Sprintf("%.1fs ", time.Since(s.began).Seconds())+fmt.Sprintf(format, args...))
}

// some draws a live node that is not stopped, or -1 if the cluster would be too small without it.
func (s *schedule) some() int {
	ids := slices.DeleteFunc(slices.Sorted(maps.Keys(s.live)), func(i int) bool { return s.stopped[i] != nil })
	if len(ids) < 3 {
		return -1
	}
	return ids[s.rng.IntN(len(ids))]
}

// start starts a node.
func (s *schedule) start(i int, name string, seeds []int) {
	s.seedsOf[i], s.well[i] = seeds, time.Now()
	start := s.Cluster.StartAt
	if i%4 == 3 && len(seeds) > 0 { // who has no seeds cannot ask
		start = s.Cluster.StartLearner
	}
	s.live[i] = start(i, name, seeds)
}

// isLearner reports whether a node was not told its address.
func (s *schedule) isLearner(i int) bool {
	return s.Configs[s.live[i]].Conn.LocalAddr().(*net.UDPAddr).IP.IsUnspecified()
}

// others are the seeds of who starts: all that live. Of a single one that dies at once, it could not recover.
func (s *schedule) others() []int {
	all := slices.AppendSeq(slices.Collect(maps.Keys(s.live)), maps.Keys(s.lent))
	slices.Sort(all)
	return slices.Compact(all)
}

// begin starts another node.
func (s *schedule) begin() {
	s.note("begin %d", s.next)
	s.start(s.next, "app", s.others())
	s.next++
}

// end ends a node.
func (s *schedule) end() { s.endOne() }

// endOne ends a node in one of three ways, and returns its number, or -1.
func (s *schedule) endOne() int {
	i := s.some()
	if i < 0 {
		return -1
	}
	s.endAs([]string{"kill", "close", "leave"}[s.rng.IntN(3)], i)
	return i
}

func (s *schedule) endAs(how string, i int) {
	s.note("%s %d", how, i)
	n := s.live[i]
	delete(s.live, i)
	s.ended = append(s.ended, i)
	switch how {
	case "kill":
		s.Cluster.Kill(n)
	case "close":
		_ = n.Close()
	case "leave":
		ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
		defer cancel()
		_ = n.Leave(ctx)
	}
}

// comeBack starts a process where one has ended before.
func (s *schedule) comeBack() {
	if len(s.ended) == 0 {
		return
	}
	k := s.rng.IntN(len(s.ended))
	i := s.ended[k]
	s.ended = slices.Delete(s.ended, k, k+1)
	s.startAgain(i)
}

// startAgain starts a process where another was, by the same name or another, and without seeds if it is one.
func (s *schedule) startAgain(i int) {
	name, seeds := []string{"app", "renamed"}[s.rng.IntN(2)], s.others()
	isFound := s.isWhole() && slices.ContainsFunc(slices.Collect(maps.Keys(s.live)),
		func(j int) bool { return slices.Contains(s.seedsOf[j], i) })
	if isFound && s.rng.IntN(2) == 0 {
		seeds = nil
	}
	s.note("start %d again as %s with seeds %v", i, name, seeds)
	s.start(i, name, seeds)
	if seeds == nil { // or it would be lost if those who look for it end meanwhile
		limit := 10 * time.Second
		// who has lost its address is still heard, and in a large cluster not missed before its third Beat to one
		if len(s.lent) > 0 {
			limit = 30 * time.Second
		}
		s.Until(limit, fmt.Sprintf("%d is found: %v", i, s.did), s.settled)
	}
}

// isWhole reports that nobody is stopped, and that no way is cut.
func (s *schedule) isWhole() bool {
	return len(s.stopped) == 0 && !slices.ContainsFunc(s.cuts,
		func(r rift) bool { return r.healed.IsZero() || time.Since(r.healed) < calmFor })
}

// restart ends a process, and starts one at its address at once.
func (s *schedule) restart() {
	if s.endOne() >= 0 {
		i := s.ended[len(s.ended)-1]
		s.ended = s.ended[:len(s.ended)-1]
		s.startAgain(i)
	}
}

// readdress ends a process, and starts it at another address.
func (s *schedule) readdress() {
	if s.endOne() >= 0 {
		s.begin()
	}
}

// move gives a process another address, which it has to find out.
func (s *schedule) move() {
	i := s.some()
	if i < 0 || !s.isLearner(i) {
		return
	}
	j := s.next
	s.next++
	s.note("move %d to %d", i, j)
	s.Configs[s.live[i]].Conn.(*clustertest.Movable).Move(clustertest.AddrOf(j))
	s.live[j], s.seedsOf[j], s.well[j] = s.live[i], s.seedsOf[i], time.Now()
	delete(s.live, i)
	s.ended = append(s.ended, i)
	for k := range s.stopped {
		s.missed[k] = true
	}
}

// lodger is a process whose address is held by another, or by nobody.
type lodger struct {
	*broach.Node
	seeds []int
}

// takeOver takes a process its address away. Another may get it.
func (s *schedule) takeOver() {
	i := s.some()
	if i < 0 || s.lent[i] != nil || s.isLearner(i) {
		return
	}
	s.note("take %d its address", i)
	s.lent[i] = &lodger{s.live[i], s.seedsOf[i]}
	s.Configs[s.live[i]].Conn.(*clustertest.Movable).Move(clustertest.HiddenAddr(i))
	delete(s.live, i)
	if s.rng.IntN(2) == 0 {
		s.startAgain(i)
	}
}

// giveBack gives all such processes their addresses back. Who had them ends.
func (s *schedule) giveBack() {
	for _, i := range slices.Sorted(maps.Keys(s.lent)) {
		if s.stopped[i] != nil {
			continue
		}
		if s.live[i] != nil {
			s.endAs([]string{"kill", "close"}[s.rng.IntN(2)], i)
		}
		s.ended = slices.DeleteFunc(s.ended, func(j int) bool { return j == i })
		s.note("give %d its address back", i)
		s.Configs[s.lent[i].Node].Conn.(*clustertest.Movable).Move(clustertest.AddrOf(i))
		s.live[i], s.seedsOf[i], s.well[i] = s.lent[i].Node, s.lent[i].seeds, time.Now()
		delete(s.lent, i)
	}
}

func (s *schedule) register() {
	i := s.some()
	if i < 0 {
		return
	}
	name := fmt.Sprint("f", s.rng.IntN(20))
	s.note("register %s at %d", name, i)
	if s.live[i].Register(name, func() {}) != nil {
		require.NoError(s.T, s.live[i].Unregister(name))
	}
}

// pause stops a node, as SIGSTOP does.
func (s *schedule) pause() {
	i := s.some()
	if i < 0 || s.live[i].Addr() != clustertest.AddrOf(i) {
		return
	}
	s.note("pause %d", i)
	s.stopped[i] = s.Cluster.Stop(s.live[i])
}

// goOn ends all pauses.
func (s *schedule) goOn() {
	s.note("go on")
	for _, i := range slices.Sorted(maps.Keys(s.stopped)) {
		s.stopped[i]()
		s.well[i] = time.Now()
		if s.missed[i] {
			s.well[i] = time.Now().Add(10 * time.Second)
		}
	}
	clear(s.stopped)
	clear(s.missed)
}

// slow makes all ways long, or short again.
func (s *schedule) slow() {
	delay := []time.Duration{usualDelay, slowDelay}[s.rng.IntN(2)]
	s.note("delay %v", delay)
	s.setDelay(delay)
}

func (s *schedule) setDelay(delay time.Duration) {
	s.Net.SetDefault(simnet.Link{Loss: s.loss, Delay: delay, Jitter: 200 * time.Microsecond})
}

// halves divides the addresses that were ever used.
func (s *schedule) halves() (a, b []int) {
	for i := range s.next {
		if s.rng.IntN(2) == 0 {
			a = append(a, i)
		} else {
			b = append(b, i)
		}
	}
	return a, b
}

func (s *schedule) cut() {
	a, b := s.halves()
	s.note("cut %v from the rest", a)
	s.Net.Cut(clustertest.AddrsAt(a), clustertest.AddrsAt(b))
	s.cuts = append(s.cuts, rift{parts: func(i, j int) bool { // who has come since is on no side
		return slices.Contains(a, i) && slices.Contains(b, j) || slices.Contains(b, i) && slices.Contains(a, j)
	}})
}

func (s *schedule) cutOneWay() {
	from, to := s.some(), s.some()
	if from < 0 {
		return
	}
	s.note("cut %v to %v", from, to)
	s.Net.CutOneWay(clustertest.AddrsAt([]int{from}), clustertest.AddrsAt([]int{to}))
	s.cuts = append(s.cuts, rift{parts: func(i, j int) bool { return i == from && j == to || i == to && j == from }})
}

func (s *schedule) heal() {
	s.note("heal")
	s.Net.Heal()
	s.cuts = slices.DeleteFunc(s.cuts, func(r rift) bool {
		return !r.healed.IsZero() &&
			time.Since(r.healed) > calmFor
	})
	for i := range s.cuts {
		if s.cuts[i].healed.IsZero() {
			s.cuts[i].healed = time.Now()
		}
	}
}

// calmDown ends all that is wrong.
func (s *schedule) calmDown() {
	s.goOn()
	s.giveBack()
	s.heal()
	s.setDelay(usualDelay)
}
