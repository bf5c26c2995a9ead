package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"broach"
)

// callFlags are those of call, and of what else makes calls.
type callFlags struct {
	all, send, time bool
	on, key         string
	retries         *int // nil: as many as without this
	hedge, idle     time.Duration
	meta            []string
}

func (f *callFlags) add(c *cobra.Command) {
	c.Flags().StringVar(&f.on, "on", "", "call the member at that `address`, and no other")
	c.Flags().StringVar(&f.key, "key", "", "calls with the same `key` go to the same provider")
	c.Flags().Func("retries", "how many more providers are asked; `n` is 3 without this", func(text string) error {
		n, err := strconv.Atoi(text)
		if err != nil || n < 0 {
			return errors.New("it must be a number from 0 up")
		}
		f.retries = &n
		return nil
	})
	c.Flags().DurationVar(&f.hedge, "hedge", 0, "ask another provider, too, after that `time`")
	c.Flags().StringArrayVar(&f.meta, "meta", nil, "a text that goes along, as `key=value`; repeatable")
	_ = c.RegisterFlagCompletionFunc("on", cobra.NoFileCompletions)
}

// options are those of the Caller.
func (f *callFlags) options() (opts []broach.CallOption, err error) {
	if f.on != "" {
		at, err := parseAddr("--on", f.on)
		if err != nil {
			return nil, err
		}
		opts = append(opts, broach.On(at))
	}
	if f.key != "" {
		opts = append(opts, broach.Key(f.key))
	}
	if f.hedge < 0 || f.idle < 0 {
		return nil, usagef("--hedge and --idle must not be negative")
	}
	if f.retries != nil {
		opts = append(opts, broach.Retries(*f.retries))
	}
	if f.hedge > 0 {
		opts = append(opts, broach.Hedge(f.hedge))
	}
	if f.idle > 0 {
		opts = append(opts, broach.StreamIdle(f.idle))
	}
	for _, pair := range f.meta {
		key, value, ok := strings.Cut(pair, "=")
		if !ok {
			return nil, usagef("--meta %s: it must be key=value", quoted(pair))
		}
		opts = append(opts, broach.Meta(key, value))
	}
	return opts, nil
}

func (a *app) callCommand() *cobra.Command {
	var f callFlags
	c := &cobra.Command{
		Use: "call NAME [ARG...]", Short: "Call a function, and print its result as JSON",
		Long: "Call a function, and print its result as JSON. Each ARG is JSON if it parses, else a text; where the\n" +
			"function takes a string it is that text as it stands. A single - reads a JSON array of all arguments\n" +
			"from standard input. A function that takes a stream has the arguments from there on as its items,\n" +
			"or, for a single -, the JSON documents of standard input; a stream that comes back is a line for\n" +
			"each item.",
		Example: "  broach call work01 1 2\n  broach call resize '{\"width\": 100}' --time\n" +
			"  echo '[1, 2]' | broach call work01 -\n  tail -f log.jsonl | broach call upload -",
		Args: cobra.MinimumNArgs(1), ValidArgsFunction: a.completeNames,
		RunE: func(c *cobra.Command, args []string) error { return a.call(c.Context(), f, args[0], args[1:]) },
	}
	f.add(c)
	c.Flags().DurationVar(&f.idle, "idle", 0, "end a stream that brings nothing for that `time`")
	c.Flags().BoolVar(&f.all, "all", false, "call every provider, and print what each answers")
	c.Flags().BoolVar(&f.send, "send", false, "wait until a provider has the call, not for its result")
	c.Flags().BoolVar(&f.time, "time", false, "say on stderr which providers were tried, and how long all took")
	return c
}

func (a *app) call(ctx context.Context, f callFlags, name string, args []string) error {
	if f.all && f.send {
		return usagef("--all and --send: one of them only")
	}
	opts, err := f.options()
	if err != nil {
		return err
	}
	rec := &recorder{}
	s, err := a.open(ctx, func(cfg *broach.Config) {
		if f.time {
			cfg.Tracer = rec
		}
	})
	if err != nil {
		return err
	}
	defer s.Close()
	d, values, err := s.prepare(ctx, a, name, args)
	if err != nil {
		return err
	}
	began := time.Now()
	err = a.make(ctx, s.Caller(name, opts...), f, d, values)
	if took := time.Since(began); f.time {
		rec.report(a, took)
	}
	return err
}

// prepare finds out what a function takes, and makes values of its arguments.
func (s *session) prepare(ctx context.Context, a *app, name string, args []string) (
	d *broach.Description, values []any, err error,
) {
	said, err := s.describe(ctx, a, name)
	switch {
	case err == nil:
		d = &said
	case errors.Is(err, broach.ErrNotFound), errors.Is(err, broach.ErrUnreachable), ctx.Err() != nil,
		errors.Is(err, broach.ErrUnauthenticated), errors.Is(err, broach.ErrDeadlineExceeded):
		return nil, nil, err
	}
	values, err = a.readArgs(args, d) // without a description: as they are written
	return d, values, err
}

// make makes the call, in the form that the flags want.
func (a *app) make(ctx context.Context, c *broach.Caller, f callFlags, d *broach.Description, values []any) error {
	ctx, cancel := a.limit(ctx, d)
	defer cancel()
	switch {
	case f.send:
		return c.Send(ctx, values...)
	case f.all:
		return a.callAll(ctx, c, d, values)
	case d != nil && d.StreamsOut:
		return a.printStream(ctx, c, d, values)
	}
	v, err := c.Call(ctx, values...)
	if err != nil {
		return err
	}
	if d != nil && len(d.Results) == 0 && v == nil && !a.isForPrograms() {
		return nil
	}
	return a.emitResult(resultOf(v, d))
}

// emitResult prints a result. For jsonl each item of a list is a line.
func (a *app) emitResult(v any) error {
	list, isList := v.([]any)
	if a.output != "jsonl" || !isList {
		return a.emitJSON(v)
	}
	for _, item := range list {
		if err := a.emitJSON(item); err != nil {
			return err
		}
	}
	return nil
}

// replyItem is what one provider answered, in JSON.
type replyItem struct {
	Node  string   `json:"node"`
	Value any      `json:"value"`
	Error *problem `json:"error"`
}

// callAll prints what each provider answers. It fails if none did without an error.
func (a *app) callAll(ctx context.Context, c *broach.Caller, d *broach.Description, values []any) error {
	l, isAnswered := listing{columns: columnsOf("NODE", "RESULT")}, false
	var last error
	for reply := range c.All(ctx, values...) {
		item := replyItem{Node: reply.Node.String()}
		text := ""
		if last = reply.Err; last == nil {
			isAnswered = true
			item.Value = resultOf(reply.Value, d)
			text = shownWhole(item.Value)
		} else {
			p := problemOf(reply.Err)
			item.Error, text = &p, reply.Err.Error()
		}
		l.add(item, item.Node, text)
	}
	if !isAnswered && last != nil {
		return fmt.Errorf("no provider has answered: %w", last)
	}
	return a.emit(l, false)
}

func shownWhole(v any) string {
	text, err := marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return text
}
