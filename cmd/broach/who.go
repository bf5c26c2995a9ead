package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"broach"
)

// whoItem is who believes what, in JSON.
type whoItem struct {
	Troubles []string      `json:"troubles"`
	Members  []whoseItem   `json:"members"`
	Beliefs  []beliefsItem `json:"beliefs"`
	Offline  []string      `json:"offline"` // who is so for all: nobody disagrees about them, and they have no row
}

// whoseItem is a member as it says itself.
type whoseItem struct {
	Addr    string `json:"addr"`
	Name    string `json:"name"`
	Version string `json:"version"`
	Library string `json:"library"`
	Go      string `json:"go"`
	Error   string `json:"error,omitempty"` // why it has not said anything
}

// beliefsItem is what one member believes of another.
type beliefsItem struct {
	By          string  `json:"by"`
	Of          string  `json:"of"`
	State       string  `json:"state"`
	Unreachable bool    `json:"unreachable"`
	RTT         seconds `json:"rtt"`
	Loss        float64 `json:"loss"`
}

func (a *app) whoCommand() *cobra.Command {
	return &cobra.Command{
		Use: "who", Short: "Ask all members who believes what of whom", Args: cobra.NoArgs,
		Long: "Ask all members what they believe of each other: first what they do not agree about, then a row for\n" +
			"each member with what it believes of the others: the round trip of its calls, where it has made\n" +
			"some, or a word. Who is offline for all has no row, and is named above: where a network is cut in\n" +
			"two, that is the other half, which agrees among itself as well.",
		RunE: func(c *cobra.Command, _ []string) error { return a.who(c.Context()) },
	}
}

func (a *app) who(ctx context.Context) error {
	s, seed, all, err := a.openToAll(ctx)
	if err != nil {
		return err
	}
	defer s.Close()
	if isAnySilent(all) { // meanwhile the others may believe something else of it
		all = append(all, s.inspectAll(ctx, answering(all), broach.ViewMembers, broach.ViewStats)...)
	}
	m := newMatrix(seed, all)
	if a.output != "table" {
		return a.emitWho(m)
	}
	_, err = io.WriteString(a.out, m.text(a.width(), a.hasColor()))
	return err
}

func isAnySilent(all []answer) bool {
	return slices.ContainsFunc(all, func(a answer) bool { return a.err != nil })
}

func answering(all []answer) (list []netip.AddrPort) {
	for _, a := range all {
		if a.err == nil {
			list = append(list, a.addr)
		}
	}
	return list
}

// matrix is what everybody believes of everybody.
type matrix struct {
	addrs   []netip.AddrPort // of all of whom somebody believes that they are there, sorted
	answers map[netip.AddrPort]answer
	beliefs map[[2]netip.AddrPort]broach.MemberView // who, of whom
	names   map[netip.AddrPort]string
	offline []netip.AddrPort // who is so for all who have answered, sorted: dead, or beyond a network that is cut
}

func newMatrix(seed broach.View, all []answer) *matrix {
	m := &matrix{
		answers: map[netip.AddrPort]answer{}, beliefs: map[[2]netip.AddrPort]broach.MemberView{},
		names: map[netip.AddrPort]string{},
	}
	for _, of := range seed.Members {
		m.names[of.Addr] = of.Name
	}
	for _, a := range all {
		m.answers[a.addr] = a
		for _, of := range a.view.Members {
			m.beliefs[[2]netip.AddrPort{a.addr, of.Addr}] = of
			m.names[of.Addr] = of.Name
		}
	}
	m.addrs = slices.SortedFunc(maps.Keys(m.names), netip.AddrPort.Compare)
	m.addrs = slices.DeleteFunc(m.addrs, func(of netip.AddrPort) bool {
		isGone := !m.answers[of].addr.IsValid() && m.isGone(of)
		if isGone && m.isOffline(of) {
			m.offline = append(m.offline, of)
		}
		return isGone
	})
	return m
}

// isOffline reports whether somebody takes a member, of whom all agree that it is away, for one that has not left.
func (m *matrix) isOffline(of netip.AddrPort) bool {
	for by := range m.answers {
		if b, ok := m.beliefs[[2]netip.AddrPort{by, of}]; ok && b.State == broach.Offline {
			return true
		}
	}
	return false
}

// isGone reports whether all who have answered agree that a member is away.
func (m *matrix) isGone(of netip.AddrPort) bool {
	for by := range m.answers {
		if b, ok := m.beliefs[[2]netip.AddrPort{by, of}]; ok && b.State != broach.Left && b.State != broach.Offline {
			return false
		}
	}
	return true
}

// belief is what one believes of another, in a word, and whether that is a trouble.
func (m *matrix) belief(by, of netip.AddrPort) (word string, isTrouble bool) {
	b, ok := m.beliefs[[2]netip.AddrPort{by, of}]
	switch {
	case m.answers[by].err != nil || !m.answers[by].addr.IsValid():
		return "", false
	case by == of:
		return "self", false
	case !ok:
		return "unknown", !m.isGone(of)
	case b.State != broach.Alive:
		return b.State.String(), !m.isGone(of)
	case b.Unreachable:
		return "unreachable", true
	}
	return "alive", b.Unsteady
}

// troubles are what they do not agree about, and what else is not as it should be, in sentences.
func (m *matrix) troubles() (list []string) {
	for _, at := range m.addrs {
		if a := m.answers[at]; a.err != nil {
			list = append(list, fmt.Sprintf("%v does not answer us: %v", at, a.err))
		}
	}
	for _, of := range m.addrs {
		list = append(list, m.disagreement(of)...)
	}
	list = append(list, m.versions()...)
	for _, at := range m.addrs {
		list = append(list, m.strangers(at)...)
	}
	return list
}

// disagreement says who believes what of one member, if not all believe that it is well.
func (m *matrix) disagreement(of netip.AddrPort) []string {
	by, isTrouble := map[string][]string{}, false
	for _, who := range m.addrs {
		word, bad := m.belief(who, of)
		isTrouble = isTrouble || bad
		if word != "" && word != "self" {
			by[word] = append(by[word], who.String())
		}
	}
	if !isTrouble {
		return nil
	}
	var parts []string
	for _, word := range slices.Sorted(maps.Keys(by)) {
		parts = append(parts, word+" for "+strings.Join(by[word], ", "))
	}
	line := fmt.Sprintf("%v is %s", of, strings.Join(parts, "; "))
	if heard := m.heardBy(of, by["suspect"]); len(heard) > 0 {
		line += "; it hears " + strings.Join(heard, ", ")
	}
	return []string{line}
}

// heardBy are those who suspect a member that itself believes them to be well: datagrams are lost in one direction.
func (m *matrix) heardBy(of netip.AddrPort, suspecting []string) (heard []string) {
	for _, who := range suspecting {
		if word, _ := m.belief(of, netip.MustParseAddrPort(who)); word == "alive" {
			heard = append(heard, who)
		}
	}
	return heard
}

// versions says which applications run in several versions, and whether the members have several of broach.
func (m *matrix) versions() (list []string) {
	byName, libraries := map[string]map[string]int{}, map[string]int{}
	for _, a := range m.answers {
		if a.err != nil {
			continue
		}
		if byName[a.view.Name] == nil {
			byName[a.view.Name] = map[string]int{}
		}
		byName[a.view.Name][a.view.Version]++
		libraries[a.view.Library]++
	}
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		if len(byName[name]) > 1 {
			list = append(list, fmt.Sprintf("application %s runs in versions %s", quoted(name), counts(byName[name])))
		}
	}
	if len(libraries) > 1 {
		list = append(list, "members have different broach: "+counts(libraries))
	}
	return list
}

func counts(m map[string]int) string {
	var parts []string
	for _, key := range slices.Sorted(maps.Keys(m)) {
		parts = append(parts, fmt.Sprintf("%s (%d)", quoted(key), m[key]))
	}
	return strings.Join(parts, ", ")
}

// strangers says who is asked by those who do not fit.
func (m *matrix) strangers(at netip.AddrPort) (list []string) {
	s := m.answers[at].view.Stats
	for _, c := range []struct {
		n    uint64
		what string
	}{
		{s.Unopened, "datagrams that none of its keys opens: somebody has other keys, or none"},
		{s.OtherCluster, "datagrams of another cluster: look at the cluster of those who join"},
		{s.ForeignVersion, "datagrams of another version of the protocol"},
	} {
		if c.n > 0 {
			list = append(list, fmt.Sprintf("%v has got %d %s", at, c.n, c.what))
		}
	}
	return list
}

// emitWho prints it for programs.
func (a *app) emitWho(m *matrix) error {
	item := whoItem{Troubles: m.troubles(), Members: []whoseItem{}, Beliefs: []beliefsItem{}, Offline: []string{}}
	if item.Troubles == nil {
		item.Troubles = []string{}
	}
	for _, of := range m.offline {
		item.Offline = append(item.Offline, of.String())
	}
	l := listing{columns: columnsOf("BY", "OF", "STATE", "UNREACHABLE", "RTT", "LOSS")}
	for _, by := range m.addrs {
		who := whoseItem{Addr: by.String(), Name: m.names[by]}
		if said := m.answers[by]; said.err != nil {
			who.Error = said.err.Error()
		} else {
			who.Version, who.Library, who.Go = said.view.Version, said.view.Library, said.view.GoVersion
		}
		item.Members = append(item.Members, who)
		for _, of := range m.addrs {
			b, ok := m.beliefs[[2]netip.AddrPort{by, of}]
			if !ok || by == of {
				continue
			}
			one := beliefsItem{by.String(), of.String(), b.State.String(), b.Unreachable, seconds(b.Peer.RTT),
				b.Peer.Loss}
			item.Beliefs = append(item.Beliefs, one)
			l.add(one, one.By, one.Of, one.State, fmt.Sprint(one.Unreachable), one.RTT.String(), fmt.Sprint(one.Loss))
		}
	}
	if a.output == "json" {
		return a.emitJSON(item)
	}
	return a.emit(l, false)
}
