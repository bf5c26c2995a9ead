package main

import (
	"math"
	"net/netip"
	"time"

	"broach/bench/internal/page"
)

// A scenario is something that happens to a cluster, and what is measured of it: a number for each row of the table.
type scenario struct {
	name     string
	loss     float64
	kills    bool // it is a point of the picture
	rows     []row
	together bool // it mostly waits: the systems do it at the same time
	run      func(*trial) ([]float64, error)
}

// A row is one line of the table.
type row struct {
	title string
	show  func(float64) string
}

// scenarios are all that can be measured, in the order of the table.
var scenarios = []scenario{
	{name: "join", run: join, rows: []row{{"all join at once, until all see all", seconds}}},
	{name: "one", run: joinOne, rows: []row{{"one more joins, until all see it and it sees all", seconds}}},
	killAt("kill0", 0), killAt("kill5", 5), killAt("kill10", 10), killAt("kill25", 25),
	quietAt("quiet0", 0), quietAt("quiet10", 10), quietAt("quiet25", 25),
	{name: "cut", run: cut, together: true, rows: []row{{"cut in halves and healed, until all see all", seconds}}},
	{name: "leave", run: leave, rows: []row{
		{"one leaves, until all others know", seconds}, {"one leaves, others not told that it left", untold},
	}},
	{name: "restart", run: restart, rows: []row{{"one restarts at its address, until all see the new process",
		seconds}}},
	{name: "traffic", run: steady, together: true, rows: []row{
		{"steady traffic, datagrams a second and node", decimal},
		{"steady traffic, bytes a second and node in datagrams", page.Count},
		{"steady traffic, bytes a second and node in TCP", page.Count},
	}},
	{name: "processor", run: processor, rows: []row{{"steady, part of one processor that all nodes use together",
		percent}}},
	{name: "crowd", run: crowd, rows: []row{
		{"three clusters of 100 join at once, until all see all", seconds},
		{"5 to 10 s after that began, datagrams a second and node", decimal},
		{"5 to 10 s after that began, part of one processor in use", percent},
	}},
}

const allKnow = 1 // the row of a killing scenario that the picture shows

func killAt(name string, percent int) scenario {
	return scenario{name: name, loss: float64(percent) / 100, kills: true, run: kill, rows: []row{
		{lossy("one is killed, until the first knows", percent), seconds},
		{lossy("one is killed, until all know", percent), seconds},
	}}
}

func quietAt(name string, percent int) scenario {
	return scenario{name: name, loss: float64(percent) / 100, run: quiet, together: true, rows: []row{
		{lossy("nothing happens, reports of a failure", percent), page.Count},
		{lossy("nothing happens, pairs missing at the end", percent), page.Count},
	}}
}

func join(t *trial) ([]float64, error) {
	start := time.Now()
	if err := t.add(t.nodes - 1); err != nil {
		return nil, err
	}
	return []float64{since(start, t.allSeeAll)}, nil
}

func joinOne(t *trial) ([]float64, error) {
	if err := t.gather(); err != nil {
		return nil, err
	}
	start := time.Now()
	if err := t.add(1); err != nil {
		return nil, err
	}
	return []float64{since(start, t.allSeeAll)}, nil
}

func kill(t *trial) ([]float64, error) {
	if err := t.gather(); err != nil {
		return nil, err
	}
	first, all := t.endOne(member.kill)
	return []float64{first, all}, nil
}

// endOne ends a node and returns how long it takes until the first of the others knows, and until all do.
func (t *trial) endOne(end func(member)) (first, all float64) {
	victim := t.take()
	ended := make(chan struct{}) // closed when nothing is left of it
	first = math.Inf(1)
	start := time.Now()
	go func() {
		defer close(ended)
		end(victim)
	}()
	all = since(start, func() bool {
		n := t.without(victim.addr())
		if n > 0 {
			first = min(first, time.Since(start).Seconds())
		}
		return n == len(t.members)
	})
	<-ended
	return first, all
}

func quiet(t *trial) ([]float64, error) {
	if err := t.gather(); err != nil {
		return nil, err
	}
	time.Sleep(t.quiet)
	return []float64{float64(t.news.down.Load()), float64(t.missing())}, nil
}

func cut(t *trial) ([]float64, error) {
	if err := t.gather(); err != nil {
		return nil, err
	}
	var half []netip.AddrPort
	for _, m := range t.members[:len(t.members)/2] {
		half = append(half, m.addr())
	}
	t.net.cut(half)
	time.Sleep(t.cut)
	start := time.Now()
	t.net.heal()
	return []float64{since(start, t.allSeeAll)}, nil
}

func leave(t *trial) ([]float64, error) {
	if err := t.gather(); err != nil {
		return nil, err
	}
	_, all := t.endOne(member.leave)
	if !t.system.reasons {
		return []float64{all, math.NaN()}, nil
	}
	others := int64(len(t.members))
	since(time.Now(), func() bool { return t.news.left.Load()+t.news.down.Load() >= others }) // events follow the views
	return []float64{all, float64(others - t.news.left.Load())}, nil
}

func restart(t *trial) ([]float64, error) {
	if err := t.gather(); err != nil {
		return nil, err
	}
	old := t.take()
	start := time.Now()
	old.kill()
	m, err := t.system.start(t.birth(old.addr(), "2"))
	if err != nil {
		return nil, err
	}
	t.know(m, "2")
	return []float64{since(start, t.allSeeAll)}, nil
}

const (
	afterglow = 3 * time.Second // until memberlist has gossiped the joins as often as it does
	// two of the longest intervals of memberlist fast; that of LAN, 30 s, first ends after it
	metered = 10 * time.Second
)

func steady(t *trial) ([]float64, error) {
	if err := t.gather(); err != nil {
		return nil, err
	}
	time.Sleep(afterglow)
	before := t.net.total()
	time.Sleep(metered)
	after := t.net.total()
	each := func(n int) float64 { return float64(n) / metered.Seconds() / float64(t.nodes) }
	return []float64{
		each(after.datagrams - before.datagrams), each(after.bytes - before.bytes),
		each(after.streamed - before.streamed),
	}, nil
}
