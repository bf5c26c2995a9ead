package main

import (
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"broach"
)

// memberItem is a member in JSON.
type memberItem struct {
	Addr        string            `json:"addr"`
	Name        string            `json:"name"`
	Version     string            `json:"version"`
	State       string            `json:"state"`
	Self        bool              `json:"self"` // it is the member that was asked
	Unreachable bool              `json:"unreachable"`
	Unsteady    bool              `json:"unsteady"`
	Draining    bool              `json:"draining"`
	Since       seconds           `json:"since"`
	SuspectedBy string            `json:"suspected_by,omitempty"`
	RTT         seconds           `json:"rtt"`
	Loss        float64           `json:"loss"`
	Tags        map[string]string `json:"tags"`
}

// memberFilter is what flags say of whom to list.
type memberFilter struct {
	from, state, name string
	tags              []string
	wide              bool
}

func (a *app) membersCommand() *cobra.Command {
	var f memberFilter
	c := &cobra.Command{
		Use: "members", Short: "List who is there, as the seed believes", Args: cobra.NoArgs,
		Example: "  broach members -s 10.0.0.7:18080 --state suspect\n  broach members --tag zone=a -o json",
		RunE:    func(c *cobra.Command, _ []string) error { return a.members(c, f) },
	}
	c.Flags().StringVar(&f.from, "from", "", "what the member at that `address` believes")
	c.Flags().StringVar(&f.state, "state", "", "only those in that `state`: alive, suspect, offline, left")
	c.Flags().StringVar(&f.name, "name", "", "only applications of that `name`; * stands for anything")
	c.Flags().StringArrayVar(&f.tags, "tag", nil, "only those with the tag `key=value`; repeatable")
	c.Flags().BoolVar(&f.wide, "wide", false, "more columns")
	return c
}

func (a *app) members(c *cobra.Command, f memberFilter) error {
	if err := f.check(); err != nil {
		return err
	}
	s, err := a.open(c.Context())
	if err != nil {
		return err
	}
	defer s.Close()
	v, err := s.view(c.Context(), f.from, broach.ViewMembers)
	if err != nil {
		return err
	}
	return a.emit(listMembers(v, f), f.wide)
}

func listMembers(v broach.View, f memberFilter) listing {
	l := listing{columns: columnsOf("ADDR", "NAME", "VERSION", "STATE", "RTT", "*SINCE", "*LOSS", "*TAGS")}
	for _, m := range v.Members {
		if f.takes(m) {
			since := short(m.Peer.Since)
			l.add(itemOf(m), m.Addr.String(), m.Name, m.Version, stateWords(m.Member), short(m.RTT), since,
				percent(m.Peer.Loss), tagWords(m.Tags))
		}
	}
	return l
}

func (f *memberFilter) check() error {
	if f.state != "" && !slices.Contains([]string{"alive", "suspect", "offline", "left"}, f.state) {
		return usagef("--state %s: it must be alive, suspect, offline or left", quoted(f.state))
	}
	if _, err := path.Match(f.name, ""); err != nil {
		return usagef("--name %s: it is no pattern", quoted(f.name))
	}
	for _, tag := range f.tags {
		if !strings.Contains(tag, "=") {
			return usagef("--tag %s: it must be key=value", quoted(tag))
		}
	}
	return nil
}

func (f *memberFilter) takes(m broach.MemberView) bool {
	isNamed, _ := path.Match(f.name, m.Name)
	if f.state != "" && m.State.String() != f.state || f.name != "" && !isNamed {
		return false
	}
	return !slices.ContainsFunc(f.tags, func(tag string) bool {
		key, value, _ := strings.Cut(tag, "=")
		has, ok := m.Tags[key]
		return !ok || has != value
	})
}

func itemOf(m broach.MemberView) memberItem {
	item := memberItem{
		Addr: m.Addr.String(), Name: m.Name, Version: m.Version, State: m.State.String(), Self: m.Self,
		Unreachable: m.Unreachable, Unsteady: m.Unsteady, Draining: m.Draining, Since: seconds(m.Peer.Since),
		RTT: seconds(m.RTT), Loss: m.Peer.Loss, Tags: m.Tags,
	}
	if item.Tags == nil {
		item.Tags = map[string]string{}
	}
	if m.Peer.SuspectedBy.IsValid() {
		item.SuspectedBy = m.Peer.SuspectedBy.String()
	}
	return item
}

// stateWords say how a member stands; what is worst comes last.
func stateWords(m broach.Member) string {
	words := []string{m.State.String()}
	for _, w := range []struct {
		holds bool
		word  string
	}{{m.Draining, "draining"}, {m.Unsteady, "unsteady"}, {m.Unreachable, "unreachable"}} {
		if w.holds {
			words = append(words, w.word)
		}
	}
	return strings.Join(words, " ")
}

func tagWords(tags map[string]string) string {
	words := make([]string, 0, len(tags))
	for _, key := range slices.Sorted(maps.Keys(tags)) {
		words = append(words, key+"="+tags[key])
	}
	return strings.Join(words, " ")
}
