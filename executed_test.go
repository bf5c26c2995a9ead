package broach

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"broach/internal/wire"

	"github.com/stretchr/testify/require"
)

// offerEndings makes a provider answer the Requests of requestFor.
func offerEndings(t *testing.T, b *linkSide, text string) {
	f, err := newService("f", func() []byte { return noise(len(text)) })
	require.NoError(t, err)
	refuse := func(context.Context, *Invocation, Handler) (any, error) {
		return nil, Errorf(Unauthenticated, "%s", text)
	}
	g, err := newService("refused", func() {})
	require.NoError(t, err)
	g.interceptors = []Interceptor{refuse}
	g.intercept(func() {})
	for _, f := range []*service{f, g} {
		_, err = b.offered.add(f.name, f)
		require.NoError(t, err)
	}
	b.offer(t, "failed", func() error { return errors.New(text) })
	b.offer(t, "accepted", func() {})
}

// endings are the functions, by what the reply to a call of them says.
var repliesThatSay = map[string]Executed{"f": Yes, "failed": Yes, "refused": No, "accepted": Maybe}

// requestFor calls one of them, the last one by Send.
func requestFor(name string) []byte {
	m := wire.Request{Seq: 1, Remaining: 600_000, Service: []byte(name), Args: []byte{0x90}}
	if name == "accepted" {
		return wire.Send(m).Append(nil)
	}
	return m.Append(nil)
}

// A call whose reply is no longer kept did what the reply said, and not more: one that did not run may be made elsewhere.
// [CALL-8] a Request or Poll for a reply no longer kept is answered Unreachable, executed as the reply said, and MUST NOT run again
func TestWhatIsSaidInPlaceOfAReplyThatIsNotKept(t *testing.T) {
	for name, executed := range repliesThatSay {
		for what, forgets := range map[string]func(b *linkSide){
			"after a minute":   func(b *linkSide) { b.step(replyKept) },
			"for want of room": func(b *linkSide) { b.link.served.drop(b.link.served.slot(0)) },
		} {
			t.Run(name+" "+what, func(t *testing.T) {
				onLinkPair(t, Config{}, func(t *testing.T, a, b *linkSide) {
					offerEndings(t, b, "no")
					b.hear(forge(a, b, requestFor(name)))
					require.Contains(t, saidIn(t, b.script.take()...)[0], fmt.Sprintf("executed %d", executed))
					forgets(b)
					for range 2 {
						for _, m := range [][]byte{requestFor(name), wire.Poll{Seq: 1}.Append(nil)} {
							b.hear(forge(a, b, m))
							require.Equal(t, []string{fmt.Sprintf("Reply 0/1 code %d executed %d", Unreachable, executed)}, saidIn(t, b.script.take()...))
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
		for what, end := range map[string]struct {
			code   Code
			before func(b *linkSide)
			after  func(a, b *linkSide)
		}{
			"the caller does not take it": {TooLarge, nil, func(a, b *linkSide) {
				b.hear(forge(a, b, wire.Stop{Transfer: 1, ByReceiver: true, Code: wire.Code(TooLarge)}.Append(nil)))
			}},
			"the caller has dropped it": {Unreachable, nil, func(a, b *linkSide) {
				b.hear(forge(a, b, wire.Stop{Transfer: 1, ByReceiver: true, Code: wire.Code(Unreachable)}.Append(nil)))
			}},
			"there is no room":       {Overloaded, func(b *linkSide) { b.wires.moving.Size = 1 << 10 }, func(_, _ *linkSide) {}},
			"another needs its room": {Overloaded, nil, func(_, b *linkSide) { b.link.giveWay(time.Now()) }},
			"it is not acknowledged": {Unreachable, nil, func(a, b *linkSide) {
				b.step(10 * time.Second)
				b.hear(forge(a, b, wire.Poll{Seq: 1}.Append(nil)))
			}},
		} {
			t.Run(name+" "+what, func(t *testing.T) {
				onLinkPair(t, Config{}, func(t *testing.T, a, b *linkSide) {
					offerEndings(t, b, text)
					if end.before != nil {
						end.before(b)
					}
					b.hear(forge(a, b, requestFor(name)))
					end.after(a, b)
					require.Contains(t, saidIn(t, b.script.take()...), fmt.Sprintf("Reply 0/1 code %d executed %d", end.code, executed))
				})
			})
		}
	}
}

// A call of several providers did not run only if it ran at none of them, whoever came last: another provider, this process, or nobody.
func TestExecutedIsThatOfTheWholeCall(t *testing.T) {
	for name, last := range map[string]int{"another provider": 2, "this process": 0, "a Balancer": -1} {
		t.Run(name, func(t *testing.T) {
			inCluster(t, 1, func(c *cluster) {
				c.startAll(3)
				refuse := func(context.Context, *Invocation, Handler) (any, error) {
					return nil, Errorf(Unauthenticated, "not here")
				}
				hangs := func(ctx context.Context) error { go c.kill(c.nodes[1]); return hang(ctx) }
				require.NoError(c.t, c.nodes[1].Register("f", hangs, Idempotent()))
				for _, i := range []int{0, 2} {
					require.NoError(c.t, c.nodes[i].Register("f", func() {}, Idempotent(), ServeInterceptors(refuse)))
				}
				require.NoError(c.t, c.nodes[0].WaitFor(c.t.Context(), "f", 3))
				turn := []int{1, last}
				pick := pickFunc(func(_ CallInfo, from []Provider) int {
					i := slices.IndexFunc(from, func(p Provider) bool { return p.Addr == addrOf(turn[0]) })
					turn = turn[1:]
					return i
				})
				_, err := c.nodes[0].Caller("f", Balance(pick), Local(LocalEqual), Timeout(time.Minute)).Call(c.t.Context())
				e := err.(*Error)
				require.NotEqual(c.t, Unreachable, e.Code, "it was asked elsewhere")
				require.Equal(c.t, Maybe, e.Executed)
			})
		})
	}
}

// pickFunc is a Balancer made of a function.
type pickFunc func(call CallInfo, providers []Provider) int

func (f pickFunc) Pick(call CallInfo, providers []Provider) int { return f(call, providers) }

// An Interceptor that calls again, and hands on the last error, does not hide that the function may have run before.
func TestExecutedIsThatOfAllThatAnInterceptorTried(t *testing.T) {
	again := func(ctx context.Context, call *Invocation, next Handler) (any, error) {
		_, _ = next(ctx, call)
		call.Args = []any{"no number"}
		return next(ctx, call)
	}
	for what, test := range map[string]struct {
		fn       any
		executed Executed
	}{
		"it ran":        {func(int) {}, Maybe},
		"it did not":    {func(uint8) {}, No},
		"it had no end": {func(ctx context.Context, _ int) { <-ctx.Done() }, Maybe},
	} {
		t.Run(what, func(t *testing.T) {
			inPair(t, map[string]any{"f": test.fn}, func(c *cluster, _, caller *Node) {
				inner := func(ctx context.Context, call *Invocation, next Handler) (any, error) {
					if call.Args[0] == 1000 {
						var cancel context.CancelFunc
						ctx, cancel = context.WithTimeout(ctx, time.Second)
						defer cancel()
					}
					return next(ctx, call)
				}
				_, err := caller.Caller("f", CallInterceptors(again, inner)).Call(c.t.Context(), 1000)
				requireError(c.t, err, InvalidArgument, test.executed)
			})
		})
	}
}
