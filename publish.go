package broach

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"net/netip"
	"slices"
	"sync"

	"broach/internal/buffer"
	"broach/internal/codec"
	"broach/internal/wire"
)

// Delivery says who got an event.
type Delivery struct {
	Nodes []netip.AddrPort // that took it, for one subscription or more; sorted
	// Missed has an *Error for each application, instance, or OneAnywhere as a whole, that should have it and did not
	// take it
	Missed []error
}

// Publish gives an event to those who have subscribed to its topic, in this process and in others: to one instance of
// each application, to each instance, to one of all, as they wish. It returns when all have answered that they have it
// in their backlog, or will not have it; it does not wait for what their functions make of it. It ends with ctx or, if
// ctx has no deadline, after Config.CallTimeout. That nobody has subscribed is no error. Who is offline, leaves, or
// cannot be reached from here counts as nobody.
//
// An instance that has no room, leaves, or is gone is replaced by another one, if any of them will do, as long as it is
// certain that it has not taken the event: an event is handled at most once for each subscription. A lost answer makes
// it Missed with Executed: Maybe. A node that is still joining waits for that, until it is a second old, to know who
// has subscribed.
//
// With an empty Delivery, the error says why nothing was sent: an InvalidArgument, if the topic is none, or the payload
// or the metadata cannot travel, TooLarge, that ctx has ended, ErrClosed, or NotFound, if the node has not joined its
// cluster and knows of nobody. Else it is nil if nobody missed the event, and errors.Join of Delivery.Missed if
// somebody did, while others may have got it. In an *Error, Service is the topic.
//
// The payload is copied, and may be what an argument may be. Metadata of the function that ctx belongs to, and those of
// [WithMeta], go along.
func (n *Node) Publish(ctx context.Context, topic string, payload any) (Delivery, error) {
	if err := n.asMember("publish", topic); err != nil {
		return Delivery{}, err
	}
	ctx = orEndless(ctx)
	frame := buffer.New()
	defer frame.Release()
	if failed := n.prepare(ctx, topic, payload, frame); failed != nil {
		return Delivery{}, failed
	}
	out := outCall{Arguments: codec.Arguments{Encoded: frame.B}, oneWay: true}
	targets := n.awaitTargets(ctx, topic)
	if failed := n.mayMiss(ctx, topic, targets); failed != nil {
		return Delivery{}, failed
	}
	return n.delivery(topic, handAll(ctx, targets, out))
}

// handAll gives an event to all targets at once, and waits for what they answer.
func handAll(ctx context.Context, targets []*Caller, out outCall) []handing {
	handed := make([]handing, len(targets))
	var others sync.WaitGroup
	for i, c := range targets {
		if i == len(targets)-1 {
			handed[i] = c.hand(ctx, out)
			break
		}
		others.Go(func() { handed[i] = c.hand(ctx, out) })
	}
	others.Wait()
	return handed
}

// awaitTargets finds out who gets an event. A node that has just started does not know them all, and waits for that as
// a call would, but only until it is a second old: events in this process do not wait for a seed that is dead.
func (n *Node) awaitTargets(ctx context.Context, topic string) []*Caller {
	if v := n.calling.view.Load(); !v.joined {
		waiting, cancel := context.WithDeadline(ctx, v.began.Add(joinWait))
		defer cancel()
		_ = n.await(waiting, func(v *view) bool { return v.joined })
	}
	return n.targets(topic)
}

// mayMiss is the error of an event of which nobody gets to know because the node has not joined, or its ctx or the node
// has ended meanwhile.
func (n *Node) mayMiss(ctx context.Context, topic string, targets []*Caller) *Error {
	v := n.calling.view.Load()
	if len(targets) > 0 || v.joined {
		return nil
	}
	c := n.Caller(topic)
	if failed := c.refusal(ctx); failed != nil {
		return failed
	}
	return c.newError(NotFound, No, "no node is known that has subscribed"+n.notJoined(v))
}

// prepare finds out whether an event can be published at all, and encodes it.
func (n *Node) prepare(ctx context.Context, topic string, payload any, frame *buffer.Buffer) *Error {
	c := n.Caller(topic)
	if err := checkTopic(topic); err != nil {
		return c.newError(InvalidArgument, No, err.Error())
	}
	if failed := c.refusal(ctx); failed != nil {
		return failed
	}
	if _, failed := c.metadata(ctx, nil, nil); failed != nil {
		return failed
	}
	return c.encode(frame, codec.Arguments{List: []any{payload}})
}

// handing is what became of one of the calls that an event consists of.
type handing struct {
	node   netip.AddrPort
	failed *Error
}

// hand makes one of these calls. Where this node was chosen and has no room, it is one of the others.
func (c *Caller) hand(ctx context.Context, out outCall) handing {
	isHere := false
	out.isHere = &isHere
	again := out
	p, failed := c.do(ctx, &out)
	if failed != nil && isHere && failed.Executed == No {
		if q, err := c.With(Local(LocalNever)).do(ctx, &again); err == nil || !err.isNobody() {
			p, failed = q, err
		}
	}
	if failed != nil {
		return handing{failed: c.missed(failed)}
	}
	node := p.Node
	if node == c.node.addr {
		node = c.node.Addr()
	}
	c.node.linking.wires.FreeCall(p)
	return handing{node: node}
}

// missed says in an error who missed the event, if it is not one node.
func (c *Caller) missed(e *Error) *Error {
	if c.opts.event == oneOfGroup && !e.isNobody() {
		e.Message = fmt.Sprintf("no instance of %q took the event: %s", c.opts.group, e.Message)
	}
	return e
}

// isNobody reports that who should have had the event was no subscriber any more when it came, or was leaving.
func (e *Error) isNobody() bool {
	return e.Executed == No && (e.Code == NotFound || e.Code == Unavailable || e.Code == Draining)
}

// delivery sums up what became of them.
func (n *Node) delivery(topic string, handed []handing) (d Delivery, err error) {
	for _, a := range handed {
		switch {
		case a.failed == nil:
			d.Nodes = append(d.Nodes, a.node)
		case !a.failed.isNobody():
			a.failed.Service = topic
			d.Missed = append(d.Missed, a.failed)
		}
	}
	slices.SortFunc(d.Nodes, netip.AddrPort.Compare)
	d.Nodes = slices.Compact(d.Nodes)
	return d, errors.Join(d.Missed...)
}

// audience says to whom of those who subscribed an event goes. As a letter it begins the name under which a
// subscription is announced, PROTOCOL.md 5.1.
type audience byte

const (
	oneOfGroup   audience = 'g' // to one instance of each application
	eachInstance audience = 'a'
	oneAnywhere  audience = 'o'
)

// maxTopic is the length of a topic in bytes.
const maxTopic = maxName - 2

func checkTopic(topic string) error { return checkWord("topic", topic, maxTopic) }

// row is the name under which subscriptions to a topic are announced.
func (a audience) row(topic string) string { return "\x00" + string(a) + topic }

// topicOf is the topic of a row.
func topicOf(row string) string { return row[min(2, len(row)):] }

// isGrouped reports whether a name announces subscriptions of which each application gets an event once.
func isGrouped(name string) bool {
	return len(name) > 2 && wire.IsOwn(name) && audience(name[1]) == oneOfGroup
}

// targets are the calls that an event consists of, [EVT-1].
func (n *Node) targets(topic string) (list []*Caller) {
	v := n.calling.view.Load()
	find := func(a audience) (c Caller, r *route, isHere bool) {
		row := a.row(topic)
		opts := callOptions{retries: retriesUnsaid, event: a}
		return Caller{node: n, name: row, opts: opts}, v.routes.get(row), n.serving.offered.get(row) != nil
	}
	c, r, isHere := find(eachInstance)
	for _, addr := range providersOf(r) {
		list = append(list, c.With(On(addr), NoRetry()))
	}
	if isHere {
		list = append(list, c.With(Local(LocalOnly)))
	}
	c, r, isHere = find(oneAnywhere)
	list = c.appendOne(list, r, isHere)

	c, r, isHere = find(oneOfGroup)
	if isHere {
		c.opts.group = n.cfg.Name
		list = c.appendOne(list, r.groupOf(n.cfg.Name), true)
	}
	for group, r := range r.eachGroup() {
		if c.opts.group = group; !isHere || group != n.cfg.Name {
			list = c.appendOne(list, r, false)
		}
	}
	return list
}

// appendOne adds a call to one of those at a route, and of this node.
func (c Caller) appendOne(list []*Caller, r *route, isHere bool) []*Caller {
	isThere := r.hasOthers()
	switch {
	case isHere && isThere:
		return append(list, c.With(Local(LocalEqual)))
	case isHere:
		return append(list, c.With(Local(LocalOnly)))
	case isThere:
		return append(list, c.With(Local(LocalNever)))
	}
	return list
}

// Topic says who can have the events of a topic now. Addresses are sorted.
type Topic struct {
	Name     string
	Groups   map[string][]netip.AddrPort // by application: of each, one instance has each event
	Each     []netip.AddrPort            // who has each event, for EachInstance
	Anywhere []netip.AddrPort            // of whom one has each event, for OneAnywhere
}

// Topics lists the topics that this node or others have subscribed to, sorted by name.
func (n *Node) Topics() []Topic {
	v := n.calling.view.Load()
	names := make(map[string]bool)
	for _, row := range n.serving.offered.topicRows() {
		names[topicOf(row)] = true
	}
	for _, p := range v.peers {
		for i := range offersOf(p) {
			if row := p.Functions[i].Name; isTopic(row) {
				names[topicOf(row)] = true
			}
		}
	}
	var list []Topic
	for _, name := range slices.Sorted(maps.Keys(names)) {
		list = append(list, n.topic(v, name))
	}
	return list
}

// topic is the public form of one.
func (n *Node) topic(v *view, name string) Topic {
	t := Topic{Name: name, Each: n.subscribers(v, eachInstance.row(name)),
		Anywhere: n.subscribers(v, oneAnywhere.row(name))}
	groups := make(map[string][]netip.AddrPort)
	row := oneOfGroup.row(name)
	if n.serving.offered.get(row) != nil {
		groups[n.cfg.Name] = append(groups[n.cfg.Name], v.self)
	}
	for group, r := range v.routes.get(row).eachGroup() {
		if all := providersOf(r, groups[group]...); len(all) > 0 {
			groups[group] = all
		}
	}
	if len(groups) > 0 {
		t.Groups = groups
	}
	return t
}

// subscribers are those who announce a row, this node among them.
func (n *Node) subscribers(v *view, row string) []netip.AddrPort {
	if n.serving.offered.get(row) != nil {
		return providersOf(v.routes.get(row), v.self)
	}
	return providersOf(v.routes.get(row))
}

// isTopic reports whether a name announces subscriptions.
func isTopic(name string) bool {
	if len(name) <= 2 || !wire.IsOwn(name) {
		return false
	}
	a := audience(name[1])
	return a == oneOfGroup || a == eachInstance || a == oneAnywhere
}

// WaitForSubscribers waits until at least that many nodes can have the events of a topic, this node among them,
// whatever their options and however often they have subscribed. An event that is published before that goes to those
// who are known by then, be it nobody. Its errors are those of WaitFor, and InvalidArgument for a topic that is none.
func (n *Node) WaitForSubscribers(ctx context.Context, topic string, nodes int) error {
	if err := n.asMember("wait for subscribers of", topic); err != nil {
		return err
	}
	if err := checkTopic(topic); err != nil {
		return refused(InvalidArgument, "wait for subscribers: %w", err)
	}
	there := 0
	err := n.await(ctx, func(v *view) bool {
		there = n.countSubscribers(v, topic)
		return there >= nodes
	})
	if err == nil || err == ErrClosed {
		return err
	}
	return fmt.Errorf("broach: WaitForSubscribers %q: %d of %d nodes when the context ended: %w", topic, there, nodes,
		err)
}

// countSubscribers counts the nodes that have subscribed to a topic.
func (n *Node) countSubscribers(v *view, topic string) int {
	var all []netip.AddrPort
	for _, a := range []audience{oneOfGroup, eachInstance, oneAnywhere} {
		all = append(all, n.subscribers(v, a.row(topic))...)
	}
	slices.SortFunc(all, netip.AddrPort.Compare)
	return len(slices.Compact(all))
}

// amendGroups puts one offer of a peer in the place of another where the route leads to its application.
func (r *route) amendGroups(was, is peerRow) {
	if was.row != nil {
		g := r.ownGroup(was.peer.Name)
		if g.dropRow(was); g.isEmpty() {
			delete(r.groups, was.peer.Name)
		}
	}
	if is.row != nil {
		r.ownGroup(is.peer.Name).addRow(is)
	}
}

// ownGroup is the part of a route that leads to one application, to be changed. It is made on demand.
func (r *route) ownGroup(name string) *route {
	if r.groups == nil {
		r.groups = make(map[string]*route)
	}
	g := r.groups[name].ownBy(r.edition, r.name)
	r.groups[name] = g
	return g
}

// groupOf is the part of a route that leads to one application; nil if there is none.
func (r *route) groupOf(name string) *route {
	if r == nil {
		return nil
	}
	return r.groups[name]
}

// eachGroup yields the applications that a route leads to.
func (r *route) eachGroup() iter.Seq2[string, *route] {
	if r == nil {
		return maps.All(map[string]*route(nil))
	}
	return maps.All(r.groups)
}

// routeIn is where the function is, or where those are who may have the event.
func (c *Caller) routeIn(v *view) *route {
	r := v.routes.get(c.name)
	if c.opts.event == oneOfGroup {
		return r.groupOf(c.opts.group)
	}
	return r
}
