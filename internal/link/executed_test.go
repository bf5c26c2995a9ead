package link

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"broach/internal/wire"
)

// offerEndings makes a provider answer the Requests of requestFor.
func offerEndings(b *end, text string) {
	b.offer("f", func() []byte { return garble(len(text)) })
	b.offer("failed", func() error { return errors.New(text) })
	b.replies["refused"] = wire.Reply{Code: wire.Application, Executed: wire.ExecutedNo, Body: []byte(text)}
}

// repliesThatSay are the functions, by what the reply to a call of them says.
var repliesThatSay = map[string]wire.Executed{"f": wire.ExecutedYes, "failed": wire.ExecutedYes,
	"refused": wire.ExecutedNo, "accepted": wire.ExecutedMaybe}

// requestFor calls one of them, the last one by Send.
func requestFor(name string) []byte {
	m := wire.Request{Seq: 1, Remaining: 600_000, Service: []byte(name), Args: []byte{0x90}}
	if name == "accepted" {
		return wire.Send(m).Append(nil)
	}
	return m.Append(nil)
}

// A call whose reply is no longer kept did what the reply said, and not more: one that did not run may be made
// elsewhere.
// [CALL-8] a Request or Poll for a reply no longer kept is answered Unreachable, executed as the reply said, and
// MUST NOT run again
func TestWhatIsSaidInPlaceOfAReplyThatIsNotKept(t *testing.T) {
	for name, executed := range repliesThatSay {
		for what, forgets := range map[string]func(b *end){
			"after a minute":   func(b *end) { b.step(replyKept) },
			"for want of room": func(b *end) { b.link.exchange.served.drop(b.link.exchange.served.slot(0)) },
		} {
			t.Run(name+" "+what, func(t *testing.T) {
				onEnds(t, bounds{}, func(t *testing.T, a, b *end) {
					offerEndings(b, "no")
					b.hear(a.utter(requestFor(name)))
					require.Contains(t, wordsOf(t, b.tape.take()...)[0], fmt.Sprintf("executed %d", executed))
					forgets(b)
					for range 2 {
						for _, m := range [][]byte{requestFor(name), wire.Poll{Seq: 1}.Append(nil)} {
							b.hear(a.utter(m))
							require.Equal(t, []string{fmt.Sprintf("Reply 0/1 code %d executed %d", wire.Unreachable,
								executed)}, wordsOf(t, b.tape.take()...))
						}
					}
				})
			})
		}
	}
}

// What ends the transfer of a reply says no more of the function than the reply did.
// [FRAG-9] one whose reply is, as the reply said
func TestWhatIsSaidInPlaceOfALargeReply(t *testing.T) {
	text := strings.Repeat("x", wire.MaxText)
	for name, executed := range repliesThatSay {
		if name == "accepted" {
			continue // it is short
		}
		for what, ending := range map[string]struct {
			code   wire.Code
			before func(b *end)
			after  func(a, b *end)
		}{
			"the caller does not take it": {wire.TooLarge, nil, func(a, b *end) {
				b.hear(a.utter(wire.Stop{Transfer: 1, ByReceiver: true, Code: wire.TooLarge}.Append(nil)))
			}},
			"the caller has dropped it": {wire.Unreachable, nil, func(a, b *end) {
				b.hear(a.utter(wire.Stop{Transfer: 1, ByReceiver: true, Code: wire.Unreachable}.Append(nil)))
			}},
			"there is no room": {wire.Overloaded, func(b *end) { b.wires.moving.Size = 1 << 10 },
				func(_, _ *end) {}},
			"another needs its room": {wire.Overloaded, nil,
				func(_, b *end) { b.link.talk(time.Now()).giveWay(time.Now()) }},
			"it is not acknowledged": {wire.Unreachable, nil, func(a, b *end) {
				b.step(10 * time.Second)
				b.hear(a.utter(wire.Poll{Seq: 1}.Append(nil)))
			}},
		} {
			t.Run(name+" "+what, func(t *testing.T) {
				onEnds(t, bounds{}, func(t *testing.T, a, b *end) {
					offerEndings(b, text)
					if ending.before != nil {
						ending.before(b)
					}
					b.hear(a.utter(requestFor(name)))
					ending.after(a, b)
					require.Contains(t, wordsOf(t, b.tape.take()...),
						fmt.Sprintf("Reply 0/1 code %d executed %d", ending.code, executed))
				})
			})
		}
	}
}
