package wire

import (
	"bytes"
	"encoding/binary"
	"net/netip"
)

// Tag is a label that an application gives itself.
type Tag struct{ Key, Value string }

// Hello is what Announce and Welcome say: a process introduces itself.
type Hello struct {
	Inc     uint32         // incarnation
	Seen    uint32         // version of the receiver's table that the sender holds and believes; 0: none
	Addr    netip.AddrPort // advertised address
	Name    string         // of the application, at most 255 bytes of UTF-8
	Version string         // of the application, likewise
	Tags    []Tag          // rising by key, at most MaxTags; strings as above

	HasTable bool   // false: the table is too large, pull it
	Table    []byte // for ConsumeTable; nil without HasTable
}

// Announce introduces its sender.
type Announce struct{ Hello }

// Welcome answers Announce.
type Welcome struct {
	Answers uint32 // the incarnation in the Announce
	Hello
}

// Kind is KindAnnounce.
func (m Announce) Kind() Kind { return KindAnnounce }

// Kind is KindWelcome.
func (m Welcome) Kind() Kind { return KindWelcome }

// Append appends the message. It panics when the table is too long for a frame, which is far above MaxMember.
func (m Announce) Append(b []byte) []byte {
	start := len(b)
	return endFrame(m.appendBody(startFrame(b, KindAnnounce)), start)
}

// Append appends the message. It panics when the table is too long for a frame, which is far above MaxMember.
func (m Welcome) Append(b []byte) []byte {
	start := len(b)
	b = binary.BigEndian.AppendUint32(startFrame(b, KindWelcome), m.Answers)
	return endFrame(m.appendBody(b), start)
}

// ConsumeAnnounce decodes the body of an Announce. The table in it is not looked at. The errors are ErrShort, ErrField
// for an address, a string or HasTable, and ErrLimit and ErrOrder for the tags.
func ConsumeAnnounce(body []byte) (Announce, error) {
	h, err := consumeHello(fields{b: body})
	return Announce{h}, err
}

// ConsumeWelcome decodes the body of a Welcome, with the errors of ConsumeAnnounce.
func ConsumeWelcome(body []byte) (Welcome, error) {
	f := fields{b: body}
	answers := f.uint32()
	h, err := consumeHello(f)
	if err != nil {
		return Welcome{}, err
	}
	return Welcome{Answers: answers, Hello: h}, nil
}

func (h *Hello) appendBody(b []byte) []byte {
	b = binary.BigEndian.AppendUint32(b, h.Inc)
	b = binary.BigEndian.AppendUint32(b, h.Seen)
	b = appendAddr(b, h.Addr)
	b = appendString(b, h.Name)
	b = appendString(b, h.Version)
	b = appendTags(b, h.Tags)
	b = appendBool(b, h.HasTable)
	if h.HasTable {
		b = append(b, h.Table...)
	}
	return b
}

// consumeHello copies nothing before the whole body has been found right.
func consumeHello(f fields) (Hello, error) {
	h := Hello{Inc: f.incarnation(), Seen: f.uint32(), Addr: f.addr()}
	name, version := f.string(), f.string()
	tags := f.bytes(int(f.uint16()))
	h.HasTable = f.bool()
	if f.err != nil {
		return Hello{}, f.err
	}
	count, err := countTags(tags)
	if err != nil {
		return Hello{}, err
	}
	h.Name, h.Version, h.Tags = string(name), string(version), copyTags(tags, count)
	if h.HasTable {
		h.Table = bytes.Clone(f.b)
	}
	return h, nil
}

// appendTags appends the length of the tags and the tags. Tags that are too long for it are too long for the frame as
// well, which endFrame refuses.
func appendTags(b []byte, tags []Tag) []byte {
	b = append(b, 0, 0)
	start := len(b)
	for _, t := range tags {
		b = appendString(appendString(b, t.Key), t.Value)
	}
	binary.BigEndian.PutUint16(b[start-2:], uint16(len(b)-start))
	return b
}

// countTags checks tags and counts them.
func countTags(b []byte) (n int, err error) {
	f := fields{b: b}
	var before []byte
	for ; f.err == nil && len(f.b) > 0; n++ {
		key := f.string()
		f.string()
		switch {
		case n == MaxTags:
			f.fail(ErrLimit)
		case n > 0 && bytes.Compare(key, before) <= 0:
			f.fail(ErrOrder)
		}
		before = key
	}
	return n, f.err
}

// copyTags makes Tags of n tags that were checked; nil of none.
func copyTags(b []byte, n int) (tags []Tag) {
	if n == 0 {
		return nil
	}
	f := fields{b: b}
	tags = make([]Tag, 0, n)
	for range n {
		tags = append(tags, Tag{Key: string(f.string()), Value: string(f.string())})
	}
	return tags
}
