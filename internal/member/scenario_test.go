package member

import (
	"errors"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"broach/internal/wire"

	"github.com/stretchr/testify/require"
)

var rewrite = flag.Bool("rewrite", false, "rewrite the traces in testdata/scenarios")

// traceMark divides a scenario's script from its trace.
const traceMark = "-- trace --\n"

// What the membership does in the situations that matter, as scripts with the trace that they leave. After an intended
// change: go test ./internal/member -run TestScenarios -rewrite; the diff is part of the review.
func TestScenarios(t *testing.T) {
	files, err := filepath.Glob("testdata/scenarios/*.txt")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, path := range files {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(path)
			require.NoError(t, err)
			script, _, _ := strings.Cut(string(text), traceMark)
			got := script + traceMark + play(t, path, script)
			if *rewrite {
				require.NoError(t, os.WriteFile(path, []byte(got), 0o644))
				return
			}
			require.Equal(t, string(text), got)
		})
	}
}

// play runs a script and returns its trace.
func play(t *testing.T, path, script string) string {
	s := newScenario(t)
	err := s.executeAll(path, script)
	require.NoError(t, err, "%s", s.trace)
	require.Nil(t, s.cut, "%s: the network is whole at the end, so that all can be seen to come right", path)
	requireOneView(s.society)
	return s.trace.String()
}

// scenario plays a script.
type scenario struct {
	*society
	trace  *trace
	broken map[[2]int]bool // from the first node nothing arrives at the second
}

func newScenario(t *testing.T) *scenario {
	s := &scenario{society: newSociety(t), broken: map[[2]int]bool{}}
	keepRules(s.society)
	s.trace = newTrace(s.society)
	return s
}

// executeAll does what a script says. The error names the line.
func (s *scenario) executeAll(path, script string) error {
	number := 0
	for line := range strings.Lines(script) {
		number++
		if err := s.execute(line); err != nil {
			return fmt.Errorf("%s:%d: %w", path, number, err)
		}
	}
	return nil
}

// execute does what a line says.
func (s *scenario) execute(line string) error {
	line, _, _ = strings.Cut(line, "#")
	line = strings.TrimSpace(line)
	if line == "" {
		return nil
	}
	c, a, err := parse(line, expectations)
	if errors.Is(err, errUnknown) {
		c, a, err = parse(line, actions)
		s.trace.note(line)
	}
	if err == nil {
		err = c.do(s, a)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", line, err)
	}
	return nil
}

// numberOf is the reverse of addrOf.
func numberOf(addr netip.AddrPort) int {
	ip := addr.Addr().As4()
	return int(ip[2])*250 + int(ip[3]) - 1
}

// node is the process that runs at an address, or the last that did.
func (s *scenario) node(n int) (*citizen, error) {
	for _, c := range slices.Backward(s.members) {
		if c.cfg.Self == siteOf(n) {
			return c, nil
		}
	}
	return nil, fmt.Errorf("there is no node %d", n)
}

// running is the process that runs at an address.
func (s *scenario) running(n int) (*citizen, error) {
	c, err := s.node(n)
	if err == nil && c.dead {
		err = fmt.Errorf("node %d does not run", n)
	}
	return c, err
}

// startApart is the time between the starts of two nodes: of those that start at once, all heartbeats are in step, and
// what one would find out first all find out together.
const startApart = 30 * time.Millisecond

func (s *scenario) start(a operands) error {
	ready := s.now.Add(time.Second)
	for n := 1; n <= a.nodes[0][0]; n++ {
		if err := s.begin(n); err != nil {
			return err
		}
		s.run(startApart)
	}
	s.run(ready.Sub(s.now))
	s.trace.forgetSightings()
	return s.allSeeAll(operands{})
}

func (s *scenario) enter(a operands) error { return s.begin(a.nodes[0][0]) }

// begin starts a process. Node 1 is its seed; to node 1 itself that means none.
func (s *scenario) begin(n int) error {
	if s.at(siteOf(n)) != nil {
		return fmt.Errorf("node %d runs already", n)
	}
	s.society.join(n, 1)
	return nil
}

// act does something to the process that runs at the address of the first argument.
func (s *scenario) act(a operands, what func(*citizen)) error {
	c, err := s.running(a.nodes[0][0])
	if err == nil {
		what(c)
	}
	return err
}

func (s *scenario) kill(a operands) error {
	return s.act(a, func(c *citizen) { c.dead = true })
}

func (s *scenario) restart(a operands) error {
	if err := s.kill(a); err != nil {
		return err
	}
	return s.enter(a)
}

func (s *scenario) depart(a operands) error {
	return s.act(a, func(c *citizen) {
		c.Leave(s.now)
		s.collect(c)
	})
}

func (s *scenario) pause(a operands) error {
	return s.act(a, func(c *citizen) { c.stopped = true })
}

func (s *scenario) resume(a operands) error {
	return s.act(a, func(c *citizen) { c.stopped = false })
}

func (s *scenario) cutOneWay(a operands) error {
	for _, from := range a.nodes[0] {
		for _, to := range a.nodes[1] {
			s.broken[[2]int{from, to}] = true
		}
	}
	s.cut = func(from, to *citizen) bool {
		return s.broken[[2]int{numberOf(from.cfg.Self), numberOf(to.cfg.Self)}]
	}
	return nil
}

func (s *scenario) cutBoth(a operands) error {
	if err := s.cutOneWay(a); err != nil {
		return err
	}
	slices.Reverse(a.nodes)
	return s.cutOneWay(a)
}

func (s *scenario) heal(operands) error {
	clear(s.broken)
	s.cut = nil
	return nil
}

func (s *scenario) lose(a operands) error {
	s.loss = a.percent / 100
	return nil
}

func (s *scenario) slow(a operands) error {
	s.delay = a.time
	return nil
}

// lentOf is where the process is that belongs at the address of a node, while another has that: nobody looks for it
// there.
func lentOf(n int) netip.AddrPort { return siteOf(10_000 + n) }

// lend takes a process its address away, at which it has been.
func (s *scenario) lend(a operands) error {
	return s.act(a, func(c *citizen) { c.place = lentOf(a.nodes[0][0]) })
}

// giveBack gives it back.
func (s *scenario) giveBack(a operands) error {
	n := a.nodes[0][0]
	i := slices.IndexFunc(s.members, func(c *citizen) bool { return c.place == lentOf(n) && !c.dead })
	if i < 0 {
		return fmt.Errorf("node %d has its address", n)
	}
	if other := s.at(siteOf(n)); other != nil {
		other.dead = true
	}
	c := s.members[i]
	c.place = siteOf(n)
	s.members = append(slices.Delete(s.members, i, i+1), c) // it is the last that ran there
	return nil
}

// offer registers one more function.
func (s *scenario) offer(a operands) error {
	return s.act(a, func(c *citizen) {
		fns, err := wire.ConsumeTable(c.table)
		require.NoError(s.t, err)
		fns = append(fns, wire.Function{Name: a.word, Signature: "()"})
		slices.SortFunc(fns, func(a, b wire.Function) int { return strings.Compare(a.Name, b.Name) })
		c.SetTable(s.now, c.tver+1, wire.AppendTable(nil, fns))
		s.collect(c)
	})
}

// A scenario that cannot be played says why, and where.
func TestScenarioErrors(t *testing.T) {
	for script, want := range map[string]string{
		"start 3\n# nothing\nfly 2 # far\n":      "x.txt:3: fly 2: unknown command",
		"kill\n":                                 "x.txt:1: kill: unknown command",
		"start 0":                                `"0" is no node`,
		"cut 1-x 2":                              `"x" is no node`,
		"cut all 2":                              `"all" is no node`,
		"run long":                               "invalid duration",
		"loss much":                              "invalid syntax",
		"start 2\nreturn 2":                      "node 2 has its address",
		"never 1s ofline":                        `"ofline" is none of`,
		"kill 2":                                 "there is no node 2",
		"start 2\nstart 1":                       "x.txt:2: start 1: node 1 runs already",
		"start 2\nkill 2\nkill 2":                "node 2 does not run",
		"start 3\nwithin 1ms all know 2 offline": "not in time for 1",
		"start 3\nkill 2\nnever 5s offline":      "held 2 to be offline",
		"start 3\nkill 1\nwithin 1ms 1 knows 2 up":  "node 1 does not run",
		"start 3\nwithin 1ms 1 knows 2 offers blue": "not in time for 1",
	} {
		require.ErrorContains(t, newScenario(t).executeAll("x.txt", script), want, script)
	}
}
