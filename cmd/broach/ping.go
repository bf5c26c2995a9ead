package main

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"broach"
)

// pingItem is what came of all questions, in JSON.
type pingItem struct {
	Addr       string  `json:"addr"`
	Sent       int     `json:"sent"`
	Answered   int     `json:"answered"`
	Min        seconds `json:"min"`
	Median     seconds `json:"median"`
	Max        seconds `json:"max"`
	Resent     uint64  `json:"resent"`
	Loss       float64 `json:"loss"`
	PacketSize int     `json:"packet_size"`
}

func (a *app) pingCommand() *cobra.Command {
	var count int
	var interval time.Duration
	c := &cobra.Command{
		Use: "ping [ADDR]", Short: "Ask a member for nothing, and say how long it takes", Args: cobra.MaximumNArgs(1),
		Long: "Ask a member, the seed if none is named, for its empty view, and say how long each answer takes. A\n" +
			"worker of it answers, so this is not the network alone. A member answers ten times a second at most.",
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(c *cobra.Command, args []string) error {
			if count < 1 || interval < 100*time.Millisecond {
				return usagef("--count must be at least 1, --interval at least 100ms")
			}
			return a.ping(c.Context(), append(args, "")[0], count, interval)
		},
	}
	c.Flags().IntVarP(&count, "count", "c", 5, "how many times, `n`")
	c.Flags().DurationVarP(&interval, "interval", "i", 200*time.Millisecond, "`time` from one to the next")
	return c
}

func (a *app) ping(ctx context.Context, text string, count int, interval time.Duration) error {
	s, err := a.open(ctx)
	if err != nil {
		return err
	}
	defer s.Close()
	at := s.seed
	if text != "" {
		if at, err = parseAddr("ping", text); err != nil {
			return err
		}
	}
	times, failed := a.pings(ctx, s, at, count, interval)
	if err := a.emitPings(s, at, count, times); err != nil {
		return err
	}
	if len(times) == 0 {
		return failed
	}
	return ctx.Err()
}

// pings asks again and again. It returns the last error beside what was answered.
func (a *app) pings(ctx context.Context, s *session, at netip.AddrPort, count int, interval time.Duration) (
	times []time.Duration, failed error,
) {
	for i := range count {
		began := time.Now()
		asking, cancel := context.WithTimeout(ctx, a.timeout)
		v, err := s.Inspect(asking, at, broach.ViewPart(0))
		cancel()
		took := time.Since(began)
		switch {
		case ctx.Err() != nil:
			return times, ctx.Err()
		case err != nil:
			failed = err
			a.say("%d  %v", i+1, err)
		default:
			times = append(times, took)
			a.tellPing(i+1, v, took)
		}
		if i == count-1 {
			break
		}
		select {
		case <-time.After(interval - min(interval, time.Since(began))):
		case <-ctx.Done():
			return times, ctx.Err()
		}
	}
	return times, failed
}

func (a *app) tellPing(n int, v broach.View, took time.Duration) {
	if a.output == "table" {
		fmt.Fprintf(a.out, "%d  %v  %s  %s\n", n, v.Addr, clean(v.Name), short(took))
	}
}

func (a *app) emitPings(s *session, at netip.AddrPort, count int, times []time.Duration) error {
	item := pingItem{Addr: at.String(), Sent: count, Answered: len(times)}
	if len(times) > 0 {
		slices.Sort(times)
		item.Min, item.Median, item.Max = seconds(times[0]), seconds(times[len(times)/2]), seconds(times[len(times)-1])
	}
	for _, p := range s.Stats().Peers {
		if p.Addr == at {
			item.Resent, item.Loss, item.PacketSize = p.Retransmits, p.Loss, p.PacketSize
		}
	}
	if a.output != "table" {
		l := listing{columns: columnsOf("ADDR", "SENT", "ANSWERED", "MIN", "MEDIAN", "MAX", "RESENT", "PACKET_SIZE")}
		l.add(item, item.Addr, strconv.Itoa(count), strconv.Itoa(len(times)), item.Min.String(), item.Median.String(),
			item.Max.String(), strconv.FormatUint(item.Resent, 10), strconv.Itoa(item.PacketSize))
		if a.output == "json" {
			return a.emitJSON(item)
		}
		return a.emit(l, false)
	}
	fmt.Fprintf(a.out, "%d of %d answered; min %s, median %s, max %s; %d sent again, loss %s, packets of %d bytes\n",
		item.Answered, count, short(time.Duration(item.Min)), short(time.Duration(item.Median)),
		short(time.Duration(item.Max)), item.Resent, percent(item.Loss), item.PacketSize)
	return nil
}
