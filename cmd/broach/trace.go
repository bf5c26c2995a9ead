package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"broach"
)

// traceItem is what became of one call, in JSON.
type traceItem struct {
	Steps  []stepItem `json:"steps"`
	Result any        `json:"result"`
	Error  *problem   `json:"error"`
}

// stepItem is something that had happened by a time.
type stepItem struct {
	After   seconds `json:"after"`
	What    string  `json:"what"`
	Attempt int     `json:"attempt,omitempty"`
	Node    string  `json:"node,omitempty"`
	Error   string  `json:"error,omitempty"`
}

func (a *app) traceCommand() *cobra.Command {
	var f callFlags
	c := &cobra.Command{
		Use: "trace NAME [ARG...]", Short: "Make one call, and say what happened when",
		Long: "Make one call, and say what happened when, from the begin of the command: the seed, the description\n" +
			"of the function, the end of each attempt and hedge, the result. How long a call waited at its\n" +
			"provider is known there only: `broach top` has it for all of them.",
		Args: cobra.MinimumNArgs(1), ValidArgsFunction: a.completeNames,
		RunE: func(c *cobra.Command, args []string) error { return a.trace(c.Context(), f, args[0], args[1:]) },
	}
	f.add(c)
	return c
}

func (a *app) trace(ctx context.Context, f callFlags, name string, args []string) error {
	opts, err := f.options()
	if err != nil {
		return err
	}
	began, rec, item := time.Now(), &recorder{}, traceItem{}
	step := func(s stepItem) { item.Steps = append(item.Steps, s) }
	s, err := a.open(ctx, func(cfg *broach.Config) { cfg.Tracer = rec })
	if err != nil {
		return err
	}
	defer s.Close()
	step(stepItem{After: seconds(time.Since(began)), What: "the seed answered", Node: s.seed.String()})
	d, values, err := s.prepare(ctx, a, name, args)
	if err = errors.Join(err, noStreams(d, "trace")); err != nil {
		return err
	}
	step(stepItem{After: seconds(time.Since(began)), What: "the function is described"})
	calling, cancel := context.WithTimeout(ctx, a.timeout)
	defer cancel()
	v, err := s.Caller(name, opts...).Call(calling, values...)
	ended := time.Since(began)
	rec.steps(began, step)
	item.end(ended, resultOf(v, d), err)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return a.emitTrace(item, err)
}

// steps tells of the attempts.
func (r *recorder) steps(began time.Time, step func(stepItem)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, t := range r.attempts {
		s := stepItem{After: seconds(r.began.Add(t.after).Sub(began)), Attempt: t.number, Node: t.at.String()}
		if s.What = "an attempt was answered"; t.err != nil {
			s.What, s.Error = "an attempt failed", t.err.Error()
		}
		step(s)
	}
}

// end is the last step.
func (t *traceItem) end(after time.Duration, result any, err error) {
	last := stepItem{After: seconds(after), What: "the call returned"}
	if t.Result = result; err != nil {
		p := problemOf(err)
		t.Result, t.Error, last.Error, last.What = nil, &p, err.Error(), "the call failed"
	}
	t.Steps = append(t.Steps, last)
}

func (a *app) emitTrace(t traceItem, err error) error {
	if a.isForPrograms() {
		if failed := a.emitJSON(t); failed != nil || err == nil {
			return failed
		}
		return saidError{err}
	}
	l := listing{columns: columnsOf("AFTER", "WHAT", "ATTEMPT", "NODE", "ERROR")}
	for _, s := range t.Steps {
		number := ""
		if s.Attempt > 0 {
			number = fmt.Sprint(s.Attempt)
		}
		l.add(s, short(time.Duration(s.After)), s.What, number, s.Node, s.Error)
	}
	if failed := a.emit(l, true); failed != nil || err != nil {
		return saidError{err}
	}
	if a.output == "csv" {
		return nil
	}
	return a.emitJSON(t.Result)
}
