package simnet

import "sync"

// outbox is the sending side of a host.
type outbox struct {
	mu    sync.Mutex // guards everything; of other locks only that of a bucket is taken meanwhile
	flows []flow     // by id of the receiving host

	sent                         Traffic
	duplicated                   uint64
	lost, cut, tooLarge, crowded uint64
}

// flow is what a sender keeps of one receiver. There is one for every pair that ever spoke, a million with a thousand
// nodes, hence no more than three words.
type flow struct {
	count uint64 // datagrams written
	last  int64  // arrival of the latest one that was not held back
	link  *Link  // nil: the network's default
}

// fate is what becomes of one datagram. The zero value means that it never arrives.
type fate struct {
	count uint64 // its number in its flow
	at    int64  // when it arrives
	again int64  // when its duplicate arrives; zero if it has none
}

// flowTo returns the flow to a host; the caller holds o.mu.
func (o *outbox) flowTo(to *host) *flow {
	if missing := int(to.id) + 1 - len(o.flows); missing > 0 {
		o.flows = append(o.flows, make([]flow, missing)...)
	}
	return &o.flows[to.id]
}

func (o *outbox) setLink(to *host, l *Link) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.flowTo(to).link = l
}

// plan counts a datagram of size bytes and decides its fate. One that was picked is lost, and costs the later ones
// nothing of their luck.
func (n *Network) plan(from, to *host, size int, isPicked bool) fate {
	o := &from.out
	o.mu.Lock()
	defer o.mu.Unlock()
	o.sent.add(size)
	f := o.flowTo(to)
	f.count++
	link := f.link
	if link == nil {
		link = n.standard.Load()
	}
	luck := n.luckOf(from, to, f.count)
	switch {
	case n.isCut(from, to):
		o.cut++
	case link.isTooSmall(size):
		o.tooLarge++
	case isPicked || luck.hits(drawLoss, link.Loss):
		o.lost++
	default:
		return o.carry(f, link, luck, n.now(), size)
	}
	return fate{}
}

// carry is the fate of a datagram that nothing but a bucket can stop any more; the caller holds o.mu.
func (o *outbox) carry(f *flow, link *Link, luck luck, now int64, size int) fate {
	wait, ok := link.Bucket.pass(now, size)
	if !ok {
		o.crowded++
		return fate{}
	}
	fate := f.schedule(link, luck, now+wait)
	if fate.again != 0 {
		o.duplicated++
	}
	return fate
}

// planForged is the fate of an injected datagram, which meets no fault.
func (n *Network) planForged(to *host, size int) fate {
	o := &n.forger.out
	o.mu.Lock()
	defer o.mu.Unlock()
	o.sent.add(size)
	f := o.flowTo(to)
	f.count++
	sure := Link{Delay: n.standard.Load().Delay}
	return f.schedule(&sure, n.luckOf(n.forger, to, f.count), n.now())
}

// schedule says when a datagram written now arrives.
func (f *flow) schedule(l *Link, luck luck, now int64) fate {
	at := now + int64(l.Delay) + luck.within(drawJitter, l.Jitter) + luck.nudge()
	if luck.hits(drawReorder, l.Reorder) {
		at += int64(l.spread()) + luck.within(drawHold, 2*l.spread())
	} else {
		at = max(at, f.last+1)
		f.last = at
	}
	fate := fate{count: f.count, at: at}
	if luck.hits(drawDuplicate, l.Duplicate) {
		fate.again = at + 1 + luck.within(drawAgain, l.spread())
	}
	return fate
}
