package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"broach"
)

// finding is what one look came to, in JSON.
type finding struct {
	Check  string `json:"check"`
	Result string `json:"result"` // ok, warn, fail
	Text   string `json:"text"`
	Remedy string `json:"remedy,omitempty"`
}

// The results of a look.
const (
	findOK   = "ok"
	findWarn = "warn"
	findFail = "fail"
)

// doctor is all that was found.
type doctor struct{ findings []finding }

func (d *doctor) find(check, result, remedy, format string, args ...any) {
	d.findings = append(d.findings, finding{check, result, fmt.Sprintf(format, args...), remedy})
}

func (a *app) doctorCommand() *cobra.Command {
	return &cobra.Command{
		Use: "doctor", Short: "Look for what is wrong, here and at all members", Args: cobra.NoArgs,
		Long: "Look for what is wrong: the seeds, one by one; buffers and drops of this host; and what all members\n" +
			"count and believe. Each finding is ok, warn or fail, with what to do. It exits with 1 if anything is\n" +
			"fail.",
		RunE: func(c *cobra.Command, _ []string) error { return a.examine(c.Context()) },
	}
}

func (a *app) examine(ctx context.Context) error {
	cfg, err := a.config()
	if err != nil {
		return err
	}
	d := &doctor{}
	began, wall := time.Now(), time.Now().Round(0)
	reached := d.lookAtSeeds(ctx, a, cfg)
	d.lookAtHost()
	if reached {
		err = d.lookAtCluster(ctx, a)
	}
	d.lookAtClock(time.Since(began), time.Now().Round(0).Sub(wall))
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		d.find("cluster", findFail, "", "the members cannot be listed: %v", err)
	}
	return a.emitFindings(d, reached)
}

// lookAtSeeds asks each of them alone.
func (d *doctor) lookAtSeeds(ctx context.Context, a *app, cfg broach.Config) (reached bool) {
	for _, seed := range cfg.Join {
		one := cfg
		one.Guest, one.Join, one.Addr = true, []string{seed}, bindFor([]string{seed})
		began := time.Now()
		s, err := a.start(ctx, one)
		if err != nil {
			text, _, _ := strings.Cut(err.Error(), "\n  asked")
			d.find("seed", findFail, "start a member there, let UDP pass, or compare cluster and keys", "%s: %s", seed,
				strings.ReplaceAll(text, "\n ", ":"))
			continue
		}
		d.find("seed", findOK, "", "%s answered in %s, as %v", seed, short(time.Since(began)), s.seed)
		_ = s.Close()
		reached = true
	}
	return reached
}

// lookAtClock compares the clock on the wall with the one that only goes forward. No timer of a node goes by the first.
func (d *doctor) lookAtClock(by, wall time.Duration) {
	if step := (wall - by).Abs(); step > 50*time.Millisecond {
		d.find("clock", findWarn, "logs and times in values are off; calls and timers are not", "it was set by %s",
			short(step))
		return
	}
	d.find("clock", findOK, "", "it was not set meanwhile")
}

// lookAtCluster asks all members.
func (d *doctor) lookAtCluster(ctx context.Context, a *app) error {
	s, seed, all, err := a.openToAll(ctx)
	if err != nil {
		return err
	}
	defer s.Close()
	m := newMatrix(seed, all)
	d.lookAtBeliefs(m)
	for _, one := range all {
		if one.err == nil {
			d.lookAtMember(one.view)
		}
	}
	d.lookAtPaths(all)
	d.lookAtAddresses(all)
	v, err := s.view(ctx, "", broach.ViewServices)
	if err == nil {
		d.lookAtServices(v.Services)
	}
	return err
}

func (d *doctor) lookAtBeliefs(m *matrix) {
	troubles := m.troubles()
	for _, line := range troubles {
		d.find("members", findWarn, "see broach who, and docs/troubles.md for what may be behind it", "%s", line)
	}
	if len(troubles) == 0 {
		d.find("members", findOK, "", "%s", m.agreement())
	}
	if len(m.offline) > 0 {
		d.find("members", findWarn, "they have died, or the network is cut: then ask a member there, from its side",
			"%s", m.away())
	}
}

// lookAtMember looks at what one counts.
func (d *doctor) lookAtMember(v broach.View) {
	s, before := &v.Stats, len(d.findings)
	for _, c := range []struct {
		n      uint64
		what   string
		remedy string
	}{
		{s.SendErrors, "datagrams that its system did not take", "look at its routes, and at firewalls there"},
		{s.Malformed, "datagrams that are none of ours", "something else sends to this port"},
		{s.Unusable, "introductions with an address that is out of reach", "set params.advertise of those who join"},
		{s.TablesRefused, "service tables without room", "offer fewer functions"},
		{s.InboxOverflow, "messages of the membership that were dropped", "it has too little processor"},
		{s.Shed, "calls whose deadline passed in the queue", "more providers, or Pool.Max"},
		{s.Rejected, "calls refused by a full queue", "more providers, or Pool.Queue"},
		{s.Panics, "functions that panicked", "its log says where"},
		{s.Unsent, "large replies that were given up", "look at loss on the path to who asks"},
		{s.LogLost, "lines that its Logger did not get", "it is too slow"},
	} {
		if c.n > 0 {
			d.find("counts", findWarn, c.remedy, "%v: %d %s", v.Addr, c.n, c.what)
		}
	}
	if s.Isolated {
		d.find("counts", findFail, "look at its network", "%v hears hardly anybody: it is cut off", v.Addr)
	}
	if !s.Joined {
		d.find("counts", findFail, "look at its seeds", "%v has not joined for %s", v.Addr, short(s.JoinedSince))
	}
	if s.Queued > 0 && s.Queued > s.Running {
		d.find("counts", findWarn, "more providers, or Pool.Max", "%v: %d calls wait, %d run", v.Addr, s.Queued,
			s.Running)
	}
	if len(d.findings) == before {
		d.find("counts", findOK, "", "%v has nothing to complain of", v.Addr)
	}
}

const (
	lossMost    = 0.02
	packetFirst = 1200 + 16 // with which a path begins, the tag of a sealed datagram among them
)

// lookAtPaths looks at loss, the size of packets and breakers, both ways of each pair.
func (d *doctor) lookAtPaths(all []answer) {
	pairs, sizes := 0, map[int]int{}
	for _, one := range all {
		for _, m := range one.view.Members {
			if m.Self || m.State != broach.Alive {
				continue
			}
			pairs++
			sizes[m.Peer.PacketSize]++
			if m.Peer.Loss >= lossMost {
				d.find("paths", findWarn, "look at the network between them", "%v loses %s of what %v sends", one.addr,
					percent(m.Peer.Loss), m.Addr)
			}
			for _, name := range m.Peer.Open {
				d.find("paths", findWarn, "it failed there again and again: see the log of the provider",
					"%v does not call %s at %v", one.addr, name, m.Addr)
			}
		}
	}
	maps.DeleteFunc(sizes, func(size, _ int) bool { return size <= packetFirst })
	text := "no path has carried enough yet for larger packets to be tried"
	if len(sizes) > 0 {
		text = fmt.Sprintf("packets of up to %d bytes; larger than the first 1200 on %d of %d ways",
			slices.Max(slices.Collect(maps.Keys(sizes))), total(sizes), pairs)
	}
	d.find("paths", findOK, "", "%s", text)
}

func total(m map[int]int) (n int) {
	for _, c := range m {
		n += c
	}
	return n
}

// lookAtAddresses finds members that others cannot reach where they say that they are.
func (d *doctor) lookAtAddresses(all []answer) {
	var loopback, others []string
	for _, one := range all {
		if one.addr.Addr().IsLoopback() {
			loopback = append(loopback, one.addr.String())
		} else {
			others = append(others, one.addr.String())
		}
	}
	if len(loopback) > 0 && len(others) > 0 {
		d.find("addresses", findFail, "give them rpcIp 0.0.0.0 or params.advertise",
			"%s advertise loopback, and are out of reach for %d on other hosts", strings.Join(loopback, ", "),
			len(others))
		return
	}
	d.find("addresses", findOK, "", "all can be reached where they say that they are")
}

// lookAtServices finds functions that differ under one name, and routes of a gateway for which there are two.
func (d *doctor) lookAtServices(list []broach.Service) {
	signatures, routes := map[string][]string{}, map[string][]string{}
	for _, f := range list {
		signatures[f.Name] = append(signatures[f.Name], f.Signature)
		if route := routeOf(f.Name); route != "" && !slices.Contains(routes[route], f.Name) {
			routes[route] = append(routes[route], f.Name)
		}
	}
	before := len(d.findings)
	for _, name := range slices.Sorted(maps.Keys(signatures)) {
		if len(signatures[name]) > 1 {
			d.find("functions", findWarn, "fine while a version replaces another", "%s has several signatures: %s",
				name, strings.Join(signatures[name], "; "))
		}
	}
	for _, route := range slices.Sorted(maps.Keys(routes)) {
		if len(routes[route]) > 1 {
			d.find("functions", findFail, "a gateway answers neither: rename one", "two functions for one route: %s",
				strings.Join(routes[route], ", "))
		}
	}
	if len(d.findings) == before {
		d.find("functions", findOK, "", "%d, each with one signature", len(signatures))
	}
}

// routeOf is a function's name as a route without the names of its captures; "": it is none.
func routeOf(name string) string {
	method, path, ok := strings.Cut(name, " ")
	if !ok || !strings.HasPrefix(path, "/") || strings.ToUpper(method) != method {
		return ""
	}
	parts := strings.Split(path, "/")
	for i, p := range parts {
		if strings.HasPrefix(p, "{") && p != "{$}" {
			parts[i] = map[bool]string{true: "{...}", false: "{}"}[strings.HasSuffix(p, "...}")]
		}
	}
	return method + " " + strings.Join(parts, "/")
}

// emitFindings prints what was found, and fails if anything is.
func (a *app) emitFindings(d *doctor, reached bool) error {
	if a.output != "table" {
		l := listing{columns: columnsOf("CHECK", "RESULT", "TEXT", "REMEDY")}
		for _, f := range d.findings {
			l.add(f, f.Check, f.Result, f.Text, f.Remedy)
		}
		if err := a.emit(l, true); err != nil {
			return err
		}
	} else if _, err := io.WriteString(a.out, d.text(a.hasColor())); err != nil {
		return err
	}
	switch {
	case !reached:
		return saidError{noSeedError{fmt.Errorf("no seed answered")}}
	case slices.ContainsFunc(d.findings, func(f finding) bool { return f.Result == findFail }):
		return saidError{fmt.Errorf("something fails")}
	}
	return nil
}

// text has a line for each finding, and one below it for what to do.
func (d *doctor) text(hasColor bool) string {
	var b strings.Builder
	for _, f := range d.findings {
		result := fmt.Sprintf("%-4s", f.Result)
		if hasColor {
			result = colored(f.Result) + result[len(f.Result):]
		}
		fmt.Fprintf(&b, "%s  %-9s  %s\n", result, f.Check, clean(f.Text))
		if f.Remedy != "" {
			fmt.Fprintf(&b, "                 %s\n", f.Remedy)
		}
	}
	return b.String()
}
