package intruder

import (
	"net/netip"
	"slices"
	"time"
)

// take does what an honest process does with a datagram; the mutex is held.
func (i *Intruder) take(from netip.AddrPort, b []byte) {
	switch Form(b) {
	case FormOpen:
		if o, ok := ParseOpen(b); ok && !i.IsGuest && i.isProven(b) {
			i.offer(from, o)
		}
	case FormOffer:
		if o, ok := ParseOffer(b); ok && i.isProven(b) {
			i.confirm(o)
		}
	case FormLink, FormConfirm:
		i.hear(b)
	}
}

func (i *Intruder) isProven(b []byte) bool { return i.Key == nil || IsProven(b, i.Key) }

// offer answers an Open.
func (i *Intruder) offer(from netip.AddrPort, open Open) {
	held, to := i.held(open.Addr), open.Addr
	if to.Addr().IsUnspecified() {
		to = from
	}
	if i.Observe != nil {
		from = i.Observe(from)
	}
	o := Offer{
		Key: i.Key, Rank: 1 + max(open.Rank, held), Asker: open.Token, Held: held,
		Stamp: uint32(time.Since(i.born).Milliseconds()),
		Token: i.Token(), Public: i.Public, Addr: i.Addr, Observed: from,
	}
	if open.Addr.Addr().IsUnspecified() {
		o.Token = 0 // it only wants to know where it is
	} else {
		i.offers[o.Token] = proposal{open, o}
	}
	i.write(to, o.Bytes())
}

// confirm makes the link of an opening that was answered.
func (i *Intruder) confirm(offer Offer) {
	open, ok := i.openings[offer.Asker]
	if !ok {
		return
	}
	delete(i.openings, offer.Asker)
	l := i.Began(open, offer)
	i.links[l.Ours] = l
	if i.IsGuest {
		l.Table = 0
		i.write(l.Peer, l.Next(Ping(1)))
		return
	}
	i.write(l.Peer, l.Next(Announce(i.hello(0))))
}

// hear takes a datagram of a link, and answers it in one.
func (i *Intruder) hear(b []byte) {
	token := be.Uint64(b[8:])
	if p, ok := i.offers[token]; ok {
		i.links[token] = i.Answered(p.open, p.offer)
		delete(i.offers, token)
	}
	l := i.links[token]
	if l == nil {
		return
	}
	messages, ok := l.Read(b)
	if ok && i.newc[token] != nil {
		close(i.newc[token])
		delete(i.newc, token)
	}
	var answers []Message
	for _, m := range messages {
		answers = append(answers, i.answer(l, m, be.Uint32(b[4:]))...)
	}
	if len(answers) > 0 {
		i.write(l.Peer, l.Next(answers...))
	}
}

// answer is what a member says to a message, if it does not care for much.
func (i *Intruder) answer(l *Link, m Message, table uint32) []Message {
	if i.Hear != nil {
		if answers, done := i.Hear(l, m); done {
			return answers
		}
	}
	body := slices.Clone(m.Body)
	switch m.Kind {
	case KindAnnounce:
		return []Message{Welcome(be.Uint32(body), i.hello(table))}
	case KindWelcome:
		return []Message{Ack(table, promise)}
	case KindPing:
		return []Message{{KindPong, body}}
	case KindBeat: // with the digest of the other side: whoever is a member to it is one to us
		i.beats++
		return []Message{Beat(i.beats, promise, 1, be.Uint64(body[10:]), be.Uint32(body))}
	case KindProbe:
		return []Message{{KindProbeAck, body[:4]}}
	case KindDrain:
		return []Message{Of(KindDrain, 1)}
	case KindList:
		i.learn(body)
	case KindRequest:
		return i.serve(l, body)
	}
	return nil
}

// learn keeps whom a List names.
func (i *Intruder) learn(body []byte) {
	_, members := ParseList(body)
	for _, m := range members {
		i.heard[m.Addr] = m
	}
}

// serve answers the calls that the protocol itself makes, and none of users.
func (i *Intruder) serve(l *Link, body []byte) []Message {
	slot, seq := be.Uint16(body), be.Uint32(body[2:])
	if name := body[11 : 11+body[10]]; string(name) != "\x00table" {
		return nil
	}
	value := append(be.AppendUint32(nil, 1), i.Table...)
	result := be.AppendUint32([]byte{1, 18, 0xc6}, uint32(len(value))) // one result, bytes
	reply := Reply(slot, seq, 0, 2, append(result, value...))
	if len(reply.Body) <= fragmentSize {
		return []Message{reply}
	}
	i.transfers++
	for _, f := range Fragments(i.transfers, reply) {
		i.write(l.Peer, l.Next(f))
	}
	return nil
}

// hello introduces the intruder, with its functions if there is room.
func (i *Intruder) hello(seen uint32) Hello {
	h := Hello{Inc: 1, Seen: seen, Addr: i.Addr, Name: i.Name, Table: i.Table}
	if len(h.Table) > fragmentSize {
		h.Table = nil
	}
	return h
}
