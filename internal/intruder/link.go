package intruder

import "net/netip"

// Link is one side of a link.
type Link struct {
	Peer         netip.AddrPort // that the other side advertises
	Public       [32]byte       // of the other side
	Ours, Theirs uint64         // tokens: that of datagrams to us, and of those to the other side
	Rank, Stamp  uint32
	Table        uint32 // version of the own service table
	Number       uint64 // of the last datagram that was sent

	key       []byte // of the cluster; nil: nothing is sealed
	secret    []byte
	side      byte // 'a': of who began
	began     [32]byte
	head      Confirm // of who began, until something was accepted
	confirmed bool
	keys      map[keyed]aead
}

// keyed tells the keys of a link apart.
type keyed struct {
	side byte
	e    uint64
}

type aead interface {
	Seal(dst, nonce, plaintext, additional []byte) []byte
	Open(dst, nonce, ciphertext, additional []byte) ([]byte, error)
}

// Began is the link of who sent an Open that was answered with an Offer.
func (p *Process) Began(open Open, offer Offer) *Link {
	l := newLink(open, offer, 'a', p.Key, p.Agree(offer.Public))
	l.Peer, l.Public, l.Ours, l.Theirs = offer.Addr, offer.Public, open.Token, offer.Token
	l.head = Confirm{Token: offer.Token, Asker: open.Token, Public: open.Public, Addr: open.Addr, Rank: offer.Rank,
		Stamp: offer.Stamp}
	return l
}

// Answered is the link of who answered an Open with an Offer.
func (p *Process) Answered(open Open, offer Offer) *Link {
	l := newLink(open, offer, 'b', p.Key, p.Agree(open.Public))
	l.Peer, l.Public, l.Ours, l.Theirs = open.Addr, open.Public, offer.Token, open.Token
	l.confirmed = true
	return l
}

// Forged is a side of a link as who does not have the output of X25519 imagines it.
func Forged(open Open, offer Offer, side byte, key, shared []byte) *Link {
	l := newLink(open, offer, side, key, shared)
	l.Ours, l.Theirs, l.confirmed = offer.Token, open.Token, true
	if side == 'a' {
		l.Ours, l.Theirs, l.confirmed = open.Token, offer.Token, false
	}
	l.head = Confirm{Token: offer.Token, Asker: open.Token, Public: open.Public, Addr: open.Addr, Rank: offer.Rank,
		Stamp: offer.Stamp}
	return l
}

func newLink(open Open, offer Offer, side byte, key, shared []byte) *Link {
	l := &Link{Rank: offer.Rank, Stamp: offer.Stamp, Table: 1, side: side, began: open.Public, key: key,
		keys: map[keyed]aead{}}
	if key != nil {
		l.secret = Secret(key, shared, Transcript(open, offer))
	}
	return l
}

// Next is the next datagram of the link: a Confirm as long as the other side has not been heard.
func (l *Link) Next(messages ...Message) []byte {
	l.Number++
	return l.At(l.Number, messages...)
}

// At is a datagram of the link with any number.
func (l *Link) At(number uint64, messages ...Message) []byte {
	head := linkHead(l.keyID(), FormLink, l.Table, l.Theirs, number)
	if !l.confirmed {
		l.head.KeyID, l.head.Table, l.head.Number = l.keyID(), l.Table, number
		head = l.head.Bytes()
	}
	return l.Seal(head, messages...)
}

// Seal puts messages behind a head.
func (l *Link) Seal(head []byte, messages ...Message) []byte {
	if l.key == nil {
		return AppendMessages(head, messages...)
	}
	seal := l.aead(l.side, be.Uint64(head[16:]))
	return seal.Seal(head, head[12:24], AppendMessages(nil, messages...), head[:len(head):len(head)])
}

// Read takes what the other side sent; it is false if that does not fit the link.
func (l *Link) Read(b []byte) (messages []Message, ok bool) {
	size := HeadSize(Form(b))
	if len(b) < size || be.Uint64(b[8:]) != l.Ours {
		return nil, false
	}
	if l.key == nil {
		l.confirmed = true
		return ParseMessages(b[size:]), true
	}
	plain, err := l.aead('a'+'b'-l.side, be.Uint64(b[16:])).Open(nil, b[12:24], b[size:], b[:size])
	l.confirmed = l.confirmed || err == nil
	return ParseMessages(plain), err == nil
}

// IsBefore reports whether the other link is preferred by both sides.
func (l *Link) IsBefore(other *Link) bool {
	if l.Rank != other.Rank {
		return l.Rank < other.Rank
	}
	if l.began != other.began {
		return string(l.began[:]) < string(other.began[:])
	}
	return int32(l.Stamp-other.Stamp) < 0
}

func (l *Link) keyID() byte {
	if l.key == nil {
		return 0
	}
	return KeyID(l.key)
}

func (l *Link) aead(side byte, number uint64) aead {
	k := keyed{side, number >> keySpan}
	if l.keys[k] == nil {
		l.keys[k] = aeadOf(l.secret, side, k.e)
	}
	return l.keys[k]
}
