package broach

import (
	"cmp"
	"errors"
	"fmt"
)

const (
	backlogUnsaid = 1024
	backlogMost   = 65536
)

// SubscribeOption says more about a subscription.
type SubscribeOption func(*subscribing)

// subscribing is what the options of Subscribe say.
type subscribing struct {
	to      audience // 0: none said
	backlog int
	wrong   []error // options that cannot be
}

// EachInstance lets every instance of the program have each event.
func EachInstance() SubscribeOption { return func(s *subscribing) { s.address(eachInstance) } }

// OneAnywhere lets one of all instances of all applications that subscribe so have each event.
func OneAnywhere() SubscribeOption { return func(s *subscribing) { s.address(oneAnywhere) } }

func (s *subscribing) address(to audience) {
	if s.to != 0 && s.to != to {
		s.wrong = append(s.wrong, errors.New("EachInstance and OneAnywhere contradict each other"))
	}
	s.to = to
}

// Backlog is how many events may wait for the subscriber in this process: 1 to 65,536, without this option 1,024. One more is
// Overloaded. Together they have at most Config.MaxMessage bytes.
func Backlog(n int) SubscribeOption {
	return func(s *subscribing) {
		if s.backlog = n; n < 1 || n > backlogMost {
			s.wrong = append(s.wrong, fmt.Errorf("the Backlog is %d, must be from 1 to %d", n, backlogMost))
		}
	}
}

// Subscription is what Subscribe has made. It may be used by many goroutines at once.
type Subscription struct {
	node    *Node
	row     string
	backlog *backlog
}

// Subscribe has fn called with each event that is published under a topic: in one instance of each application (Config.Name) that subscribes,
// unless an option says something else. It is effective at once in this process, and everywhere as soon as the peers have heard of it, which
// takes as long as with Register. It works before and after joining.
//
// The function takes the event, after a context.Context if it wants one, and returns nothing or an error; the rules for its types are
// those of Register, and for topics those for names, up to 198 bytes. A publisher's event need not be of the same type, as long as it fits.
// InvocationFrom tells who published it, under which topic, with which metadata. The context ends with the node only.
//
// Events are handled one at a time, those of one publisher in the order in which it published them one after the other. They wait in a
// backlog meanwhile: a function that is slow or blocks delays no publisher and no other subscription, and the events that its backlog has no room for
// go to another instance, or are missed. Publishers have their answer by then: what the function returns, be it an error, or a panic, or that
// the event does not fit its type, is in the log only. An event is handled at most once, and lost if the process ends by anything but Leave.
//
// The function may be subscribed any number of times, to the same topic too; each subscription gets the events. What breaks the rules is an
// InvalidArgument. Subscriptions count for the limits of Register, those of one topic with equal options as one: TooLarge. A closed
// node returns ErrClosed.
func (n *Node) Subscribe(topic string, fn any, opts ...SubscribeOption) (*Subscription, error) {
	if err := checkTopic(topic); err != nil {
		return nil, Errorf(InvalidArgument, "subscribe: %w", err)
	}
	f, err := subscriber(topic, fn)
	if err != nil {
		return nil, Errorf(InvalidArgument, "subscribe %s: %w", topic, err)
	}
	o := subscribing{backlog: backlogUnsaid}
	for _, opt := range opts {
		opt(&o)
	}
	if err := errors.Join(o.wrong...); err != nil {
		return nil, Errorf(InvalidArgument, "subscribe %s: %w", topic, err)
	}
	f.interceptors = n.cfg.ServeInterceptors
	f.intercept(fn)
	s := &Subscription{node: n, row: cmp.Or(o.to, oneOfGroup).row(topic), backlog: n.newBacklog(f, o.backlog)}
	if err := n.change(func() (bool, error) { return n.subscribe(s.row, s.backlog) }); err != nil {
		return nil, err
	}
	return s, nil
}

// subscriber checks a function that is to have events.
func subscriber(topic string, fn any) (*service, error) {
	f, err := planService(topic, fn)
	switch {
	case err != nil:
		return nil, err
	case f.Parameters() != 1 || f.IsVariadic():
		return nil, fmt.Errorf("%T must have one parameter for the event, besides a context.Context", fn)
	case f.Results() > 0:
		return nil, fmt.Errorf("%T may return an error and nothing else", fn)
	}
	return f, nil
}

func (n *Node) newBacklog(f *service, most int) *backlog {
	return &backlog{function: f, pool: n.pool, node: n.provider.ctx, waiting: &n.events.waiting, most: most, mostSize: n.maxMessage}
}

// Close ends the subscription: when it returns, no event is taken up any more, and those that were are still handled. It may be called
// again, also by the function itself. A closed node returns ErrClosed.
func (s *Subscription) Close() error {
	return s.node.change(func() (bool, error) { return s.node.unsubscribe(s.row, s.backlog) })
}
