package broach

import (
	"iter"
	"maps"

	"broach/internal/wire"
)

// audience says to whom of those who subscribed an event goes. As a letter it begins the name under which a subscription is announced,
// PROTOCOL.md 5.1.
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
	v := n.view.Load()
	find := func(a audience) (c Caller, r *route, isHere bool) {
		row := a.row(topic)
		return Caller{n, row, callOptions{retries: retriesUnsaid, event: a}}, v.routes.get(row), n.offered.get(row) != nil
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
	isThere := r != nil && r.hasOthers(0)
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

// amendGroups puts one offer of a peer in the place of another where the route leads to its application.
func (r *route) amendGroups(was, is peerRow) {
	if was.row != nil {
		g := r.ownGroup(was.peer.Name)
		if g.drop(was); g.isEmpty() {
			delete(r.groups, was.peer.Name)
		}
	}
	if is.row != nil {
		r.ownGroup(is.peer.Name).take(is)
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
