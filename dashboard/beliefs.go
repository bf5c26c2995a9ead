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
		for i := range x.beliefs {
			row[x.beliefs[i].addr.String()] = x.beliefs[i].cell()
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
	group, list := c.few(groupOf(by)), map[string]*groupRow{}
	for _, x := range c.instances {
		r := list[group(x)]
		if r == nil {
			r = &groupRow{Cells: map[string]cell{}}
			list[group(x)] = r
		}
		r.Nodes++
		if isGone(x.member.State) {
			continue
		}
		for i := range x.beliefs {
			if to := c.instances[x.beliefs[i].addr]; to != nil {
				r.Cells[group(to)] = worse(r.Cells[group(to)], x.beliefs[i].cell())
			}
		}
	}
	out := make(rows, len(list))
	for k, r := range list {
		out[k] = r
	}
	return out
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

func worse(a, b cell) cell { return cell{max(a[0], b[0]), max(a[1], b[1]), max(a[2], b[2])} }

// oddRow is a member of which not all believe the same, or that some do not reach.
type oddRow struct {
	Alive int               // how many say that it is well
	Says  map[mark][]string // who says something else, by mark: 12 at most of each
	Count map[mark]int
}

const oddMost = 12

// oddRows are the disagreements.
func (c *cluster) oddRows() rows {
	list := map[netip.AddrPort]*oddRow{}
	for _, from := range c.sorted() {
		x := c.instances[from]
		if isGone(x.member.State) {
			continue
		}
		for i := range x.beliefs {
			to, m := x.beliefs[i].addr, x.beliefs[i].mark
			r := list[to]
			if r == nil {
				r = &oddRow{Says: map[mark][]string{}, Count: map[mark]int{}}
				list[to] = r
			}
			if m <= unsteady {
				r.Alive++
				continue
			}
			r.Count[m]++
			if names := r.Says[m]; len(names) < oddMost {
				r.Says[m] = append(names, from.String())
			}
		}
	}
	out := rows{}
	for to, r := range list {
		// that it is gone, which some were told and some noticed
		agree := r.Alive+r.Count[suspect]+r.Count[unreachable] == 0
		if c.instances[to] != nil && len(r.Count) > 0 && !agree {
			out[to.String()] = r
		}
	}
	return out
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
