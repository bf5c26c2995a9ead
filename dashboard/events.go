package dashboard

import (
	"context"
	"strconv"
	"time"

	"broach"
)

// What has happened is kept from the beginning, not only while somebody looks: who opens the page wants to know what
// it was that made him look.

type eventRow struct {
	At      int64
	Kind    string
	Addr    string
	Name    string `json:",omitempty"`
	Service string `json:",omitempty"`
}

// watch ends with the node.
func (p *poller) watch() {
	for e := range p.n.Watch(context.Background()) {
		p.happened(time.Now(), &e)
	}
}

func (p *poller) happened(now time.Time, e *broach.Event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.eventSeq++
	p.events = append(p.events, eventRow{now.UnixMilli(), e.Kind.String(), e.Member.Addr.String(),
		short(e.Member.Name), short(e.Service)})
	if len(p.events) > eventsMost {
		p.events = append([]eventRow(nil), p.events[len(p.events)-eventsMost:]...)
	}
	if p.isRunning {
		p.wake()
	}
}

func (p *poller) eventRows() rows {
	out := make(rows, len(p.events))
	for i, e := range p.events {
		out[strconv.Itoa(p.eventSeq-len(p.events)+i)] = e
	}
	return out
}
