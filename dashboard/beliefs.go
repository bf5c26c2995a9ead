package dashboard

import (
	"maps"
	"net/netip"
	"slices"
)

// Who believes what of whom. Each member's answer says how it sees all others; below 150 nodes each is a row of a
// matrix, above they are put together in groups.

// cell is what a row believes of a column: a mark, the round trip in µs, the loss.
type cell [3]float64

func (b *belief) cell() cell {
	return cell{float64(b.mark), round(float64(b.rtt)), roundLoss(float64(b.loss))}
}

// beliefRows are those of single nodes, where these are few enough.
func (c *cluster) beliefRows() rows {
	out := rows{}
	if len(c.instances) > singleMost {
		return out
	}
	for addr, x := range c.instances {
		if x.beliefs == nil || isGone(x.member.State) {
			continue
		}
		row := make(map[string]cell, len(x.beliefs))
		for to, b := range x.beliefs {
			if b.mark != unknown {
				row[c.places[to].member.Addr.String()] = b.cell()
			}
		}
		out[addr.String()] = row
	}
	return out
}

type groupRow struct {
	Nodes int
	Cells map[string]cell // the worst of each
}

// groupRows put nodes together.
func (c *cluster) groupRows(by string) rows {
	names, groups := c.groups(c.few(groupOf(by)))
	nodes, worst := make([]int, len(names)), make([]belief, len(names)*len(names))
	for place, x := range c.places {
		if x == nil {
			continue
		}
		nodes[groups[place]]++
		if !isGone(x.member.State) {
			sum(worst[groups[place]*len(names):], groups, x.beliefs)
		}
	}
	out := make(rows, len(names))
	for from, name := range names {
		r := &groupRow{Nodes: nodes[from], Cells: map[string]cell{}}
		for to, b := range worst[from*len(names) : (from+1)*len(names)] {
			if b.mark != unknown {
				r.Cells[names[to]] = b.cell()
			}
		}
		out[name] = r
	}
	return out
}

// groups numbers the groups that there are, and tells that of each place.
func (c *cluster) groups(group func(*instance) string) (names []string, ofPlace []int) {
	numbers := map[string]int{}
	ofPlace = make([]int, len(c.places))
	for place, x := range c.places {
		if x == nil {
			continue
		}
		name := group(x)
		number, isThere := numbers[name]
		if !isThere {
			number = len(names)
			numbers[name], names = number, append(names, name)
		}
		ofPlace[place] = number
	}
	return names, ofPlace
}

// sum leaves the worst that is believed of each group.
func sum(worst []belief, groups []int, beliefs []belief) {
	for place, b := range beliefs {
		if b.mark != unknown {
			w := &worst[groups[place]]
			*w = belief{max(w.mark, b.mark), max(w.rtt, b.rtt), max(w.loss, b.loss)}
		}
	}
}

const (
	singleMost = 150 // nodes, or groups, that are told of one by one: of each pair something is told
	others     = "…" // the group of all that are too many
)

// few leaves the first groups as they are, and makes one of all others: members name themselves as they like.
func (c *cluster) few(group func(*instance) string) func(*instance) string {
	names := map[string]bool{}
	for _, x := range c.instances {
		names[group(x)] = true
	}
	if len(names) <= singleMost {
		return group
	}
	kept := slices.Sorted(maps.Keys(names))[:singleMost-1]
	return func(x *instance) string {
		if name := group(x); contains(kept, name) {
			return name
		}
		return others
	}
}

func contains(sorted []string, name string) bool {
	_, ok := slices.BinarySearch(sorted, name)
	return ok
}

// oddRow is a member of which not all believe the same, or that some do not reach.
type oddRow struct {
	Alive int               // how many say that it is well
	Says  map[mark][]string // who says something else, by mark: 12 at most of each
	Count map[mark]int
}

const oddMost = 12

// opinions are what all believe of one member.
type opinions struct {
	alive int
	count [offline + 1]int
	says  [offline + 1][]string
}

// oddRows are the disagreements.
func (c *cluster) oddRows() rows {
	all := make([]opinions, len(c.places))
	for _, from := range c.sorted() {
		x := c.instances[from]
		if isGone(x.member.State) {
			continue
		}
		for to, b := range x.beliefs {
			switch of := &all[to]; {
			case b.mark == unknown:
			case b.mark <= unsteady:
				of.alive++
			default:
				of.add(from, b.mark)
			}
		}
	}
	out := rows{}
	for to := range all {
		if r := all[to].row(); r != nil {
			out[c.places[to].member.Addr.String()] = r
		}
	}
	return out
}

// add takes in that somebody does not believe a member to be well.
func (o *opinions) add(from netip.AddrPort, m mark) {
	o.count[m]++
	if len(o.says[m]) < oddMost {
		o.says[m] = append(o.says[m], from.String())
	}
}

// row is nil where all agree: also that it is gone, which some were told and some noticed.
func (o *opinions) row() *oddRow {
	if o.alive+o.count[suspect]+o.count[unreachable] == 0 {
		return nil
	}
	r := &oddRow{Alive: o.alive, Says: map[mark][]string{}, Count: map[mark]int{}}
	for m, n := range o.count {
		if n > 0 {
			r.Says[mark(m)], r.Count[mark(m)] = o.says[m], n
		}
	}
	if len(r.Count) == 0 {
		return nil
	}
	return r
}

// sectionsOf takes the sections out of a request that there are.
func sectionsOf(names []string) (list []string) {
	for _, name := range names {
		isGroup := len(name) > len(groupPrefix) && len(name) < 100 && name[:len(groupPrefix)] == groupPrefix
		if (isGroup || slices.Contains(sectionNames, name)) && !slices.Contains(list, name) && len(list) < 16 {
			list = append(list, name)
		}
	}
	return list
}

const groupPrefix = "beliefs:"

// wantsBeliefs reports whether one of the sections needs what members believe of each other.
func wantsBeliefs(sections []string) bool {
	return slices.ContainsFunc(sections, func(s string) bool {
		return s == "beliefs" || s == "odd" || len(s) > len(groupPrefix) && s[:len(groupPrefix)] == groupPrefix
	})
}
