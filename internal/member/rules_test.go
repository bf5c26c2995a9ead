package member

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"broach/internal/wire"

	"github.com/stretchr/testify/require"
)

var societies = flag.Uint64("societies", 20, "how many random societies TestSocietiesKeepTheRules runs")

// rules remember what they have seen, to check what holds whatever happens to processes and networks.
type rules struct {
	now     time.Time
	members []*citizen
	died    map[uint64]time.Time // by boot ids
	of      map[*citizen]*history
}

// history is what the rules remember of one process.
type history struct {
	inc      uint32
	believed map[uint64]bool // those that were its peers and members, as of its last step
}

// keepRules checks after each step of each process.
func keepRules(s *society) {
	r := newRules()
	s.after = append(s.after, func(c *citizen) {
		r.now, r.members = s.now, s.members
		if err := r.check(c); err != nil {
			require.NoError(s.t, err, "%v at %v", c.cfg.Self, s.now.UTC())
		}
	})
}

func newRules() *rules {
	return &rules{died: map[uint64]time.Time{}, of: map[*citizen]*history{}}
}

func (r *rules) check(c *citizen) error {
	r.noteDeaths()
	h := r.of[c]
	if h == nil {
		h = &history{}
		r.of[c] = h
	}
	if c.inc < h.inc {
		return fmt.Errorf("its incarnation fell from %d to %d", h.inc, c.inc)
	}
	h.inc = c.inc
	before := h.believed
	h.believed = make(map[uint64]bool)
	for _, p := range c.peers.list {
		if p.Boot == c.boot || p.Addr == c.cfg.Self {
			return fmt.Errorf("it has itself as a peer, %v", p.state())
		}
		if err := r.checkPeer(before, p); err != nil {
			return err
		}
		h.believed[p.Boot] = p.isMember()
	}
	return nil
}

func (r *rules) noteDeaths() {
	for _, c := range r.members {
		if _, known := r.died[c.boot]; c.dead && !known {
			r.died[c.boot] = r.now
		}
	}
}

// comesLate is for how long what a process sent may come and be taken for new: a token is spent until its stamp is more
// than 6,000 ms old [LNK-3].
const comesLate = 6 * time.Second

// checkPeer sees to it that nobody comes back who has been dead for so long that nothing which it sent can make a link.
func (r *rules) checkPeer(before map[uint64]bool, p *peer) error {
	died, isDead := r.died[p.Boot]
	if isDead && r.now.Sub(died) > comesLate && p.isMember() && !before[p.Boot] {
		return fmt.Errorf("%v is %v again, of a process that has been dead for %v", p.Addr, p.state(), r.now.Sub(died))
	}
	return checkBelief(p)
}

// checkBelief sees to it that what is believed of a peer agrees with how it is probed.
func checkBelief(p *peer) error {
	for what, isKept := range map[string]bool{
		"only a member is probed":                     p.isMember() || p.probe == probe{},
		"what has no probe knows nothing of one":      p.probe.isOn() || p.probe == probe{},
		"who is out of reach is a member":             !p.unreachable || p.isMember(),
		"who is out of reach is probed for that":      !p.unreachable || p.probe.isOn() && p.probe.path,
		"who is out of reach is not asked by hearsay": !p.unreachable || !p.probe.heedsOthers(),
		"who is accused is asked":                     p.belief != accused || p.probe.isOn() && p.probe.heedsOthers(),
		"who is accused has an accuser":               p.belief != accused || p.accuser != nil,
		"who is given up was asked for that": p.probe.found != foundGivenUp || p.probe.heedsOthers() ||
			p.unreachable,
		"our own probe makes us doubt":           !p.isDoubted() || p.probe.isOn() && p.probe.own,
		"a member has its place in the rotation": !p.isMember() || p.rotates,
	} {
		if !isKept {
			return fmt.Errorf("%s: %v, %v, %+v", what, p.Addr, p.state(), p.probe)
		}
	}
	return nil
}

// requireOneView checks what holds once the network is whole and has been for a while: everybody sees exactly the live
// processes, alive and reached, with the tables that they offer now.
func requireOneView(s *society) {
	s.t.Helper()
	live := s.live()
	for _, c := range live {
		want := []string{}
		for _, other := range live {
			if other != c {
				want = append(want, sight(other.cfg.Self, other.boot, Alive, false, other.tver))
			}
		}
		slices.Sort(want)
		require.Equal(s.t, want, c.sights(live), "what %v sees", c.cfg.Self)
		require.Equal(s.t, live[0].digest, c.digest, "digest of %v", c.cfg.Self)
	}
}

// live lists the processes that run.
func (s *society) live() (list []*citizen) {
	for _, c := range s.members {
		if !c.dead && !c.stopped {
			list = append(list, c)
		}
	}
	return list
}

// sights lists what a process believes of the live ones, and whom it takes for live besides.
func (c *citizen) sights(live []*citizen) []string {
	list := []string{}
	for _, p := range c.peers.list {
		if p.isMember() || slices.ContainsFunc(live, func(l *citizen) bool { return l.boot == p.Boot }) {
			list = append(list, sight(p.Addr, p.Boot, p.state(), p.unreachable, p.tver))
		}
	}
	slices.Sort(list)
	return list
}

func sight(addr netip.AddrPort, boot uint64, state State, unreachable bool, tver uint32) string {
	return fmt.Sprintf("%v, process %x: %v, unreachable %v, table %d", addr, boot, state, unreachable, tver)
}

// What is believed of a peer agrees with how it is probed, whatever happens to processes and networks, and whatever
// others say. In the end all come together.
func TestSocietiesKeepTheRules(t *testing.T) {
	for seed := range *societies {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			s := newSociety(t)
			s.rng = rand.New(rand.NewPCG(seed, seed))
			keepRules(s)
			for i := range 2 + s.rng.IntN(5) {
				s.join(i, 0)
			}
			for range 40 {
				s.someTrouble()
				s.run(time.Duration(s.rng.IntN(800)) * msec)
			}
			s.loss, s.delay, s.cut = 0, 0, nil
			for _, c := range s.members {
				c.stopped = false
			}
			s.until(20*time.Second, "all meet", s.allMeet)
		})
	}
}

// someTrouble has something happen to the network, or to one of those that run or are stopped.
func (s *society) someTrouble() {
	var all []*citizen
	for _, c := range s.members {
		if !c.dead {
			all = append(all, c)
		}
	}
	s.rng.Shuffle(len(all), func(i, k int) { all[i], all[k] = all[k], all[i] })
	a, b, c := all[0], all[1], all[len(all)-1]
	switch s.rng.IntN(10) {
	case 0:
		s.loss = []float64{0, 0.1, 0.3}[s.rng.IntN(3)]
	case 1:
		s.delay = []time.Duration{0, 30 * msec, 200 * msec}[s.rng.IntN(3)]
	case 2:
		s.cut = nil
	case 3:
		s.cut = func(from, to *citizen) bool { return from.place == a.place && to.place != b.place }
	case 4:
		s.cut = func(from, to *citizen) bool { return (from.place == a.place) != (to.place == a.place) }
	case 5:
		a.stopped = !a.stopped
	case 6:
		s.startAnew(a)
	case 7:
		a.SetTable(s.now, a.tver+1, wire.AppendTable(nil, rowsOf(upTo(s.rng.IntN(100))...)))
		s.collect(a)
	default:
		s.complain(a, b, c)
	}
}

// startAnew ends a process, which may say so, and starts another at its address.
func (s *society) startAnew(c *citizen) {
	switch s.rng.IntN(3) {
	case 0:
		c.dead = true
	case 1:
		c.Drain(s.now)
		fallthrough
	default:
		c.Leave(s.now)
		s.collect(c)
		s.run(leaveFor)
		c.dead = true
	}
	s.join(numberOf(c.place), 0)
}

// complain has one say to another that a third one is silent, or that it has given it up, and has a call there
// unanswered.
func (s *society) complain(to, from, about *citizen) {
	link, p := to.of(from), to.of(about)
	if link == nil || p == nil || link.state() == Offline || to.stopped {
		return
	}
	switch s.rng.IntN(3) {
	case 0:
		s.forge(to, to.linkTo(from), wire.Suspect{Target: p.target()})
	case 1:
		s.forge(to, to.linkTo(from), wire.Offline{Target: p.target()})
	default:
		to.Unanswered(s.now, p.tie.token)
		s.collect(to)
	}
}

// The rules see what breaks them.
func TestRulesAreKept(t *testing.T) {
	s := newSociety(t)
	all := s.grow(3)
	requireOneView(s)
	a, b := all[0], all[1]
	used := func() *rules {
		r := newRules()
		r.now, r.members = s.now, s.members
		require.NoError(t, r.check(a))
		return r
	}

	fallen := used()
	fallen.of[a].inc++
	require.ErrorContains(t, fallen.check(a), "incarnation fell")

	back := used()
	b.dead = true
	require.NoError(t, back.check(a), "not known yet")
	back.now = s.now.Add(time.Minute)
	require.NoError(t, back.check(a), "still not known")
	a.of(b).belief = believedOffline
	require.NoError(t, back.check(a))
	a.of(b).belief = believedAlive
	require.ErrorContains(t, back.check(a), "alive again, of a process that has been dead for 1m0s")

	soon := used()
	require.NoError(t, soon.check(a))
	a.of(b).belief = believedOffline
	require.NoError(t, soon.check(a))
	a.of(b).belief, soon.now = believedAlive, s.now.Add(comesLate)
	require.NoError(t, soon.check(a), "what it sent before may have come late")

	a.of(b).belief = accused
	require.ErrorContains(t, newRules().check(a), "who is accused")
	a.of(b).belief = believedAlive

	a.peers.sorted()[0].Boot = a.boot
	require.ErrorContains(t, newRules().check(a), "itself as a peer")
}
