package main

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"broach"
)

// watchItem is an event in JSON.
type watchItem struct {
	Time    string `json:"time"`
	Event   string `json:"event"`
	Addr    string `json:"addr"`
	Name    string `json:"name"`
	Service string `json:"service"`
}

// watchEvery is how often the seed is asked. It answers ten times a second at most.
const watchEvery = 250 * time.Millisecond

func (a *app) watchCommand() *cobra.Command {
	var within time.Duration
	var from string
	c := &cobra.Command{
		Use: "watch", Short: "Print what changes in the cluster, as it does", Args: cobra.NoArgs,
		Long: "Print what there is in the cluster, then what changes, a line each. It asks the seed four times a\n" +
			"second, so what comes and goes within a quarter of one is not seen.",
		RunE: func(c *cobra.Command, _ []string) error { return a.watch(c.Context(), from, within) },
	}
	c.Flags().DurationVar(&within, "for", 0, "end after that `time`")
	c.Flags().StringVar(&from, "from", "", "what the member at that `address` believes")
	return c
}

func (a *app) watch(ctx context.Context, from string, within time.Duration) error {
	s, err := a.open(ctx)
	if err != nil {
		return err
	}
	defer s.Close()
	over, known := after(within), map[string]string{}
	for misses := 0; ; {
		v, err := s.view(ctx, from, broach.ViewMembers, broach.ViewServices)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err == nil:
			misses = 0
			known = a.tellChanges(known, stateOf(v))
		default:
			if misses++; misses > 3 {
				return err
			}
		}
		select {
		case <-time.After(watchEvery):
		case <-over:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// fact is something that holds of a member, or of a function at one.
type fact struct {
	addr          netip.AddrPort
	name, service string
	event         string // that tells of it
}

func (f fact) key() string { return f.addr.String() + "\x00" + f.service }

// stateOf are the facts in a View, members first.
func stateOf(v broach.View) (facts []fact) {
	names := map[netip.AddrPort]string{}
	for _, m := range v.Members {
		names[m.Addr] = m.Name
		facts = append(facts, fact{m.Addr, m.Name, "", memberEvent(m.Member)})
	}
	for _, f := range v.Services {
		for _, at := range f.Providers {
			facts = append(facts, fact{at, names[at], f.Name, "service-added"})
		}
	}
	return facts
}

func memberEvent(m broach.Member) string {
	switch {
	case m.State == broach.Alive && m.Unreachable:
		return "member-unreachable"
	case m.State == broach.Alive && m.Draining:
		return "member-draining"
	case m.State == broach.Alive:
		return "member-up"
	}
	return "member-" + m.State.String()
}

// tellChanges prints what was not so before, and returns what is.
func (a *app) tellChanges(known map[string]string, facts []fact) map[string]string {
	is := map[string]string{}
	for _, f := range facts {
		is[f.key()] = f.event
		if known[f.key()] != f.event {
			a.tell(f)
		}
	}
	var gone []string
	for key := range known {
		if is[key] == "" {
			gone = append(gone, key)
		}
	}
	slices.Sort(gone)
	for _, key := range gone {
		addr, service, _ := strings.Cut(key, "\x00")
		at, _ := netip.ParseAddrPort(addr)
		f := fact{addr: at, service: service, event: "service-removed"}
		if service == "" {
			f.event = "member-forgotten"
		} else if is[addr+"\x00"] != "member-up" {
			continue // it takes its functions along
		}
		a.tell(f)
	}
	return is
}

func (a *app) tell(f fact) {
	now := time.Now().Format("15:04:05.000")
	if a.isForPrograms() {
		_ = a.emitJSON(watchItem{
			time.Now().UTC().Format(time.RFC3339Nano), f.event, f.addr.String(), f.name, f.service,
		})
		return
	}
	fmt.Fprintln(a.out, strings.TrimRight(clean(fmt.Sprintf("%s  %-18s  %-21v  %s  %s", now, f.event, f.addr, f.name,
		f.service)), " "))
}
