package main

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"broach"
)

// deliveryItem says who got an event, in JSON.
type deliveryItem struct {
	Nodes  []string  `json:"nodes"`
	Missed []problem `json:"missed"`
}

func (a *app) publishCommand() *cobra.Command {
	return &cobra.Command{
		Use: "publish TOPIC JSON", Short: "Publish an event, as a member for that time",
		Long: "Publish an event, as a member for that time: a guest has no events. JSON is the payload, or a text\n" +
			"if it is none.",
		Args: cobra.ExactArgs(2), ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(c *cobra.Command, args []string) error { return a.publish(c.Context(), args[0], args[1]) },
	}
}

func (a *app) publish(ctx context.Context, topic, text string) error {
	payload, err := argument(unguarded(text), broach.Type{Kind: "any"}, nil)
	if err != nil {
		return usagef("%w", err)
	}
	s, err := a.join(ctx, "a guest cannot publish")
	if err != nil {
		return err
	}
	defer s.leave()
	ctx, cancel := context.WithTimeout(ctx, a.timeout)
	defer cancel()
	d, err := s.Publish(ctx, topic, payload)
	if len(d.Nodes)+len(d.Missed) == 0 && err != nil {
		return err
	}
	return errors.Join(a.emitDelivery(d), err)
}

func (a *app) emitDelivery(d broach.Delivery) error {
	item := deliveryItem{Nodes: []string{}, Missed: []problem{}}
	l := listing{columns: columnsOf("NODE", "EVENT")}
	for _, at := range d.Nodes {
		item.Nodes = append(item.Nodes, at.String())
		l.add(nil, at.String(), "taken")
	}
	for _, err := range d.Missed {
		item.Missed = append(item.Missed, problemOf(err))
		l.add(nil, problemOf(err).Node, "missed: "+err.Error())
	}
	if a.isForPrograms() {
		return a.emitJSON(item)
	}
	if len(l.rows) == 0 {
		a.say("nobody has subscribed")
		return nil
	}
	return a.emit(l, false)
}

// leaveWithin is how long a member of ours takes to say goodbye.
const leaveWithin = 2 * time.Second

// leave ends a member of ours so that nobody takes it for dead.
func (s *session) leave() {
	ctx, cancel := context.WithTimeout(context.Background(), leaveWithin)
	defer cancel()
	_ = s.Leave(ctx)
}

// eventItem is an event of a topic, in JSON.
type eventItem struct {
	Topic   string `json:"topic"`
	From    string `json:"from"`
	Payload any    `json:"payload"`
}

func (a *app) subscribeCommand() *cobra.Command {
	var count int
	var within time.Duration
	c := &cobra.Command{
		Use: "subscribe TOPIC", Short: "Print the events of a topic, as a member for that time",
		Long: "Print the events of a topic, each as a line, as a member for that time: a guest cannot subscribe. It\n" +
			"has each event beside those who have subscribed, and takes none from them.",
		Args: cobra.ExactArgs(1), ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(c *cobra.Command, args []string) error {
			return a.subscribe(c.Context(), args[0], count, within)
		},
	}
	c.Flags().IntVar(&count, "count", 0, "end after `n` events")
	c.Flags().DurationVar(&within, "for", 0, "end after that `time`")
	return c
}

func (a *app) subscribe(ctx context.Context, topic string, count int, within time.Duration) error {
	s, err := a.join(ctx, "a guest cannot subscribe")
	if err != nil {
		return err
	}
	defer s.leave()
	events := make(chan eventItem)
	donec := make(chan struct{})
	defer close(donec)
	_, err = s.Subscribe(topic, func(ctx context.Context, payload any) {
		call, _ := broach.InvocationFrom(ctx)
		v := toJSON(payload, broach.Type{Kind: "any"}, nil)
		select {
		case events <- eventItem{topic, call.From.String(), v}:
		case <-donec:
		}
	}, broach.EachInstance())
	if err != nil {
		return err
	}
	return a.printEvents(ctx, events, count, within)
}

// printEvents prints them until there are enough.
func (a *app) printEvents(ctx context.Context, events <-chan eventItem, count int, within time.Duration) error {
	over := after(within)
	for n := 0; count == 0 || n < count; n++ {
		select {
		case e := <-events:
			if err := a.emitEvent(e); err != nil {
				return err
			}
		case <-over:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

func (a *app) emitEvent(e eventItem) error {
	if a.isForPrograms() {
		return a.emitJSON(e)
	}
	return a.emitJSON(e.Payload)
}

// after is a channel that gets something after a time; never, if that is 0.
func after(d time.Duration) <-chan time.Time {
	if d <= 0 {
		return nil
	}
	return time.After(d)
}

func percent(share float64) string {
	if share == 0 {
		return "-"
	}
	return strconv.FormatFloat(100*share, 'f', 1, 64) + "%"
}
