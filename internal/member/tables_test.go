package member

import (
	"strings"
	"testing"
	"time"

	"broach/internal/wire"

	"github.com/stretchr/testify/require"
)

// loadTables makes a process believe that its first so many peers offer all the rows that it holds, but for some.
func loadTables(c *citizen, peers []*citizen, free int) {
	table := rowsOf(upTo(wire.MaxFunctions)...)
	for _, other := range peers {
		room := RowsMax - free - int(c.held.rows)
		c.holdTable(c.of(other), other.tver, table[:min(len(table), room)])
	}
}

// offer gives a process a table.
func (s *society) offer(c *citizen, rows []wire.Function) {
	c.SetTable(s.now, c.tver+1, wire.AppendTable(nil, rows))
	s.collect(c)
}

// [TAB-9] A node MAY bound what it holds of the tables of all its peers together. Where one finds no room the largest
// gives way, if it is larger. A table without room counts as held, its functions are not called, and it is pulled again
// after a minute.
func TestRowsOfAllPeersAreBounded(t *testing.T) {
	s := newSociety(t)
	all := s.grow(23)
	a, late := all[0], all[22]
	loadTables(a, all[1:22], 5)
	s.offer(late, rowsOf(upTo(wire.MaxFunctions)...))
	s.run(time.Second)
	p := a.of(late)
	require.Equal(t, Alive, p.state(), "it is a member all the same")
	require.Empty(t, p.functions, "nobody has more")
	require.EqualValues(t, RowsMax-5, a.held.rows)

	sent := s.watch(late)
	s.offer(late, rowsOf(upTo(wire.MaxFunctions)...))
	s.run(20 * time.Second)
	require.Less(t, kindsOf(*sent)[wire.KindAnnounce], 3*len(all), "nobody is told again and again")
	require.Equal(t, 1, a.pulls, "it did not fit a hello")

	s.offer(late, rowsOf(upTo(5)...))
	s.run(time.Second)
	require.Len(t, p.functions, 5, "it fits")
	require.EqualValues(t, RowsMax, a.held.rows)

	s.offer(late, rowsOf(upTo(wire.MaxFunctions)...))
	s.run(time.Second)
	require.Empty(t, p.functions)
	a.holdTable(a.of(all[1]), 2, nil)
	s.run(crowdedEvery + time.Second)
	require.Len(t, p.functions, wire.MaxFunctions, "there is room now")
}

// What is short, rows or bytes, is taken from who has most of it, and from nobody who has no more than the newcomer.
func TestTheLargestTableGivesWay(t *testing.T) {
	long := func(rows, bytes int) []wire.Function {
		table := rowsOf(upTo(rows)...)
		table[0].Doc = strings.Repeat("d", bytes)
		return table
	}
	const part = RowBytesMax / 4
	tests := []struct {
		short    string // of what there is not enough
		newcomer []wire.Function
		crowded  []int // of the others: 0 has most rows, 1 most bytes
	}{
		{"nothing", rowsOf(1, 2, 3), nil},
		{"rows", rowsOf(upTo(wire.MaxFunctions - 1)...), []int{0}},
		{"bytes", long(1, part), []int{1}},
		{"both", long(wire.MaxFunctions-1, part), []int{0, 1}},
		{"as many rows as any", rowsOf(upTo(wire.MaxFunctions)...), []int{22}},
		{"more bytes than any, fewer rows", long(wire.MaxFunctions-1, 2*part), []int{22}},
	}
	for _, tt := range tests {
		t.Run(tt.short, func(t *testing.T) {
			s := newSociety(t)
			all := s.grow(24)
			a := all[0]
			for i, c := range all[1:23] {
				rows := min(wire.MaxFunctions-min(i, 1), RowsMax-5-int(a.held.rows))
				table := rowsOf(upTo(rows)...)
				if i == 1 {
					table = long(rows, 2*part)
				}
				if i > 1 && i < 19 {
					table[0].Doc = strings.Repeat("d", part/16)
				}
				a.holdTable(a.of(c), c.tver, table)
			}
			a.Take()
			a.holdTable(a.of(all[23]), 9, tt.newcomer)
			var crowded []int
			for i, c := range all[1:24] {
				if a.of(c).refused {
					crowded = append(crowded, i)
				}
			}
			require.Equal(t, tt.crowded, crowded)
			require.Len(t, a.out.Crowded, len(crowded), "the operator is told of each")
			require.True(t, tableSize{}.fits(a.held))
		})
	}
}

// The tables of those who are not there make room, and are asked for again when they come back.
func TestTablesOfAbsentPeersMakeRoom(t *testing.T) {
	s := newSociety(t)
	all := s.grow(23)
	a, away, late := all[0], all[1], all[22]
	s.offer(away, rowsOf(1, 2, 3))
	s.run(time.Second)
	loadTables(a, all[2:22], 0)
	s.cut = func(from, to *citizen) bool { return from == away || to == away }
	s.until(10*time.Second, "it is away", func() bool { return a.of(away).state() == Offline })
	require.Len(t, a.of(away).functions, 3, "[TAB-5]")
	a.holdTable(a.of(all[2]), 2, rowsOf(upTo(wire.MaxFunctions)...)[:wire.MaxFunctions-1])
	s.offer(late, rowsOf(upTo(4)...))
	s.run(time.Second)
	require.Len(t, a.of(late).functions, 4)
	s.offer(late, rowsOf(1))
	s.cut = nil
	s.until(5*time.Second, "its table is there again", func() bool { return len(a.of(away).functions) == 3 })
}

// The words of all rows together are bounded, too.
func TestBytesOfAllPeersAreBounded(t *testing.T) {
	table := []wire.Function{{Name: "name", Signature: "(int)", Doc: strings.Repeat("d", 7)}}
	require.Equal(t, tableSize{rows: 1, bytes: 16}, tableSizeOf(table))
	require.True(t, tableSize{rows: 1, bytes: RowBytesMax - 16}.fits(tableSizeOf(table)))
	require.False(t, tableSize{rows: 1, bytes: RowBytesMax - 15}.fits(tableSizeOf(table)))
	require.False(t, tableSize{rows: RowsMax}.fits(tableSizeOf(table)))
	require.Equal(t, tableSize{48, 16 << 10}, tableSize{RowsMax / PeersMax, RowBytesMax / PeersMax},
		"what always finds room")
}

// What is held is counted right through all that changes it.
func TestHeldTablesAreCounted(t *testing.T) {
	s := newSociety(t)
	s.loss = 0.1
	all := s.grow(5)
	for i := range 20 {
		s.offer(all[1+i%4], rowsOf(upTo(i*7)...))
		s.run(300 * time.Millisecond)
	}
	all[2].dead = true
	s.until(10*time.Second, "it is away", func() bool { return all[0].of(all[2]).state() == Offline })
	was, known := all[0].Dismiss(all[2].cfg.Self)
	require.True(t, known)
	require.Equal(t, Offline, was)
	want := tableSize{}
	for _, p := range all[0].peers.list {
		size := tableSizeOf(p.functions)
		want.rows += size.rows
		want.bytes += size.bytes
	}
	require.Equal(t, want, all[0].held)
	require.Positive(t, want.rows)
}

// [TAB-8] A node MAY ignore tables and Deltas of a peer that come too soon after others; it pulls the table when it is
// time.
func TestAPeerCannotChangeItsTableAsFastAsItLikes(t *testing.T) {
	s := newSociety(t)
	all := s.grow(2)
	a, liar := all[0], all[1]
	s.offer(liar, rowsOf(upTo(wire.MaxFunctions)...))
	s.run(5 * time.Second)
	p := a.of(liar)
	require.Len(t, p.functions, wire.MaxFunctions)

	link := a.linkTo(liar)
	taken, held := 0, p.tver
	for range 10_000 { // each is the next after what is held
		link.Tver = p.tver + 1
		s.forge(a, link, wire.Delta{
			Base: p.tver, Version: p.tver + 1, Gone: wire.AppendTable(nil, nil),
			Added: wire.AppendTable(nil, rowsOf(1)),
		})
		if p.tver != held {
			taken, held = taken+1, p.tver
		}
		s.run(100 * time.Microsecond)
	}
	gap := wire.MaxFunctions * deltaGap
	require.LessOrEqual(t, taken, int((time.Second+tableAhead)/gap)+2)
	require.GreaterOrEqual(t, taken, int(tableAhead/gap))
}

// Of a small cluster no table waits: programs register functions in bursts, of which a table comes every 5 ms at most.
func TestSmallTablesMayChangeFast(t *testing.T) {
	s := newSociety(t)
	all := s.grow(10)
	for i := range 50 {
		s.offer(all[1], rowsOf(upTo(i)...))
		s.run(5 * time.Millisecond)
	}
	require.Len(t, all[0].of(all[1]).functions, 49)
	require.Zero(t, all[0].pulls)
}

// [TAB-1] It counts as held, the functions of the one before stay, and it is pulled again (TAB-3) after a minute.
func TestATableThatCannotBeReadIsPulledRarely(t *testing.T) {
	s := newSociety(t)
	all := s.grow(3)
	a, sick := all[0], all[2]
	s.offer(sick, rowsOf(1))
	s.run(time.Second)
	sent := s.watch(sick)
	for range 300 {
		sick.SetTable(s.now, sick.tver+1, []byte("no table"))
		s.collect(sick)
		s.run(time.Second)
	}
	require.Zero(t, a.pulls, "each comes by itself")
	require.LessOrEqual(t, kindsOf(*sent)[wire.KindAnnounce], 2*300, "one for each and peer")
	s.run(5 * time.Minute)
	require.Equal(t, 5, a.pulls)
	require.LessOrEqual(t, kindsOf(*sent)[wire.KindAnnounce], 2*300)
	require.Len(t, a.of(sick).functions, 1)
	s.offer(sick, rowsOf(1, 2))
	s.run(crowdedEvery)
	require.Len(t, a.of(sick).functions, 2, "it has recovered")
}

// [TAB-3] A pull that is under way is the only one: hellos that come meanwhile begin no other, whether they bring the
// table or only show that there is a newer one. What they have shown is pulled once the answer has come.
func TestAHelloDuringAPullBeginsNoOther(t *testing.T) {
	s := newSociety(t)
	a, x := s.join(0), s.act(7, 0)
	link := x.confirm(a, 1)
	greet := func(version uint32, h wire.Hello) {
		h.Inc, h.Addr, h.Name = 1, x.addr, "app"
		src := x.source(link, wire.Announce{Hello: h})
		src.Tver = version
		x.forge(a, src, wire.Announce{Hello: h})
	}
	greet(1, wire.Hello{})
	s.now = s.now.Add(pullEvery)
	a.Tick(s.now)
	require.Equal(t, []Pull{{x.entry(), link}}, a.Take().Pull, "the answer does not come yet")

	p := a.peers.byAddr[x.addr]
	for range 3 {
		greet(1, wire.Hello{})
		s.run(2 * pullEvery)
	}
	greet(2, wire.Hello{HasTable: true, Table: wire.AppendTable(nil, rowsOf(1, 2))})
	require.Len(t, p.functions, 2)
	for range 3 {
		greet(3, wire.Hello{})
		s.run(2 * pullEvery)
	}
	require.Zero(t, a.pulls)

	a.Pulled(s.now, x.entry(), 1, wire.AppendTable(nil, rowsOf(1)), true)
	s.collect(a)
	require.Len(t, p.functions, 2, "it is older than what has come by itself")
	s.run(pullEvery - 1)
	require.Zero(t, a.pulls)
	s.run(1)
	require.Equal(t, 1, a.pulls)
}
