package gateway_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"broach"
	"broach/broachtest"
	"broach/gateway"
)

// A program is a worker, as another language would write it.
type program struct {
	t         *testing.T
	g         http.Handler
	id, token string
}

func enlist(t *testing.T, g http.Handler, slots int, functions ...string) *program {
	t.Helper()
	var list []map[string]any
	for _, name := range functions {
		list = append(list, map[string]any{"name": name, "idempotent": strings.HasPrefix(name, "again")})
	}
	w := ask(g, "POST", "/workers", string(must2(t, map[string]any{"name": "py", "slots": slots, "functions": list})))
	require.Equal(t, http.StatusCreated, w.Code, w.Body.String())
	p := &program{t: t, g: g}
	var made struct{ ID, Token string }
	must(t, json.Unmarshal(w.Body.Bytes(), &made))
	p.id, p.token = made.ID, made.Token
	return p
}

func (p *program) ask(method, path, body string) *httptest.ResponseRecorder {
	return ask(p.g, method, "/workers/"+p.id+path, body, "Broach-Worker", p.token)
}

type task struct {
	Call, Function, Cancel, From string
	Args                         []any
	Deadline                     int `json:"deadline_ms"`
	Meta                         map[string]string
}

// next polls until there is something.
func (p *program) next() (v task) {
	w := p.ask("GET", "/next?wait=60", "")
	require.Equal(p.t, http.StatusOK, w.Code, w.Body.String())
	must(p.t, json.Unmarshal(w.Body.Bytes(), &v))
	return v
}

func (p *program) post(call, body string) int { return p.ask("POST", "/calls/"+call, body).Code }

type called struct {
	v   any
	err error
}

func callLater(n *broach.Node, name string, args ...any) chan called {
	c := make(chan called, 1)
	go func() {
		v, err := n.Caller(name).Call(context.Background(), args...)
		c <- called{v, err}
	}()
	return c
}

func TestWorkers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := broachtest.New(t)
		node, caller := c.Start("gateway"), c.Start("caller")
		g := newGateway(t, node, gateway.Workers("work*", "again*"), gateway.Expose("work*"))
		p := enlist(t, g, 2, "work01", "work02")
		c.Settle()

		got := callLater(caller, "work01", 1, "x", []byte("hi"))
		call := p.next()
		require.Equal(t, "work01", call.Function)
		require.Equal(t, []any{1.0, "x", "aGk="}, call.Args)
		require.InDelta(t, 6000, call.Deadline, 100)
		require.Equal(t, caller.Addr().String(), call.From)
		require.Equal(t, http.StatusNoContent, p.post(call.Call, `{"value": {"sum": 3}}`))
		require.Equal(t, called{map[string]any{"sum": int64(3)}, nil}, <-got)
		require.Equal(t, http.StatusGone, p.post(call.Call, `{"value": 1}`), "a second time")

		got = callLater(caller, "work02")
		call = p.next()
		require.Empty(t, call.Args)
		p.post(call.Call, `{"error": {"code": 1001, "message": "sold out"}}`)
		err := (<-got).err.(*broach.Error)
		require.Equal(t, broach.Code(1001), err.Code)
		require.Equal(t, "sold out", err.Message)
		require.Equal(t, broach.Yes, err.Executed)

		got = callLater(caller, "work02")
		p.post(p.next().Call, `{"error": {"code": "Unauthenticated", "message": "no"}}`)
		require.Equal(t, broach.Unauthenticated, (<-got).err.(*broach.Error).Code)
		got = callLater(caller, "work02")
		p.post(p.next().Call, `{"error": {"code": "ValueError", "message": "no"}}`)
		require.Equal(t, broach.Application, (<-got).err.(*broach.Error).Code)

		answer := make(chan string, 1) // through the gateway itself, by HTTP
		go func() { answer <- ask(g, "POST", "/rpc/work01", `[1, 2]`).Body.String() }()
		p.post(p.next().Call, `{"value": null}`)
		require.Equal(t, "null\n", <-answer)
		require.Equal(t, http.StatusNoContent, p.ask("GET", "/next?wait=1", "").Code)
	})
}

func TestWorkersThatGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := broachtest.New(t)
		node, caller := c.Start("gateway"), c.Start("caller")
		g := newGateway(t, node, gateway.Workers("*"))
		p := enlist(t, g, 2, "work01", "again01")
		c.Settle()

		// who gives up is told of, and a late result is for nobody
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		go func() { _, _ = caller.Caller("work01").Call(ctx) }()
		call := p.next()
		require.Equal(t, call.Call, p.next().Cancel)
		require.Equal(t, http.StatusGone, p.post(call.Call, `{"value": 1}`))

		// one more than the slots is not run: elsewhere there may be room
		one, two := callLater(caller, "work01"), callLater(caller, "work01")
		first, second := p.next(), p.next()
		_, err := caller.Caller("work01", broach.NoRetry()).Call(t.Context())
		require.Equal(t, broach.Overloaded, err.(*broach.Error).Code)
		require.Equal(t, broach.No, err.(*broach.Error).Executed)
		p.post(first.Call, `{"value": 1}`)
		p.post(second.Call, `{"value": 2}`)
		require.NoError(t, (<-one).err)
		require.NoError(t, (<-two).err)

		// a worker that is silent for ten seconds is gone: what it had may have run, what waits for it has not
		fetched := callLater(caller, "work01")
		p.next()
		time.Sleep(5500 * time.Millisecond)
		waits := callLater(caller, "work01")
		require.ErrorIs(t, (<-fetched).err, broach.ErrDeadlineExceeded)
		time.Sleep(time.Second)
		before := time.Now()
		err = (<-waits).err
		require.Less(t, time.Since(before), 5*time.Second)
		require.Equal(t, broach.Unavailable, err.(*broach.Error).Code)
		require.Equal(t, broach.No, err.(*broach.Error).Executed)
		require.Equal(t, http.StatusNotFound, p.ask("GET", "/next", "").Code)
		c.Settle()
		_, err = caller.Caller("work01").Call(t.Context())
		require.ErrorIs(t, err, broach.ErrNotFound)

		// one whose connection breaks is gone sooner
		ended := enlist(t, g, 1, "work02")
		r := request("GET", "/workers/"+ended.id+"/next", "", "Broach-Worker", ended.token)
		ctx, cancel = context.WithCancel(r.Context())
		polled := make(chan struct{})
		go func() { serve(g, r.WithContext(ctx)); close(polled) }()
		synctest.Wait()
		cancel()
		<-polled
		require.NotEqual(t, http.StatusNotFound, ended.post("1", `{"value": 1}`))
		time.Sleep(4 * time.Second)
		require.Equal(t, http.StatusNotFound, ended.post("1", `{"value": 1}`))

		// one that leaves has its calls end
		p, q := enlist(t, g, 1, "work01"), enlist(t, g, 1, "work01")
		c.Settle()
		one = callLater(caller, "work01")
		two = callLater(caller, "work01")
		first, second = p.next(), q.next()
		left := make(chan int, 1)
		go func() { left <- p.ask("DELETE", "", "").Code }()
		synctest.Wait()
		require.Empty(t, left, "it waits for the call")
		p.post(first.Call, `{"value": 1}`)
		require.Equal(t, http.StatusNoContent, <-left)
		q.post(second.Call, `{"value": 2}`)
		require.NoError(t, (<-one).err)
		require.NoError(t, (<-two).err)
		three := callLater(caller, "work01")
		q.post(q.next().Call, `{"value": 3}`)
		require.Equal(t, int64(3), (<-three).v, "the other goes on")

		four := callLater(caller, "work01") // and the end of the gateway is the end of all
		q.next()
		synctest.Wait()
		must(t, g.Close())
		require.Equal(t, broach.Unreachable, (<-four).err.(*broach.Error).Code)
		w := ask(g, "POST", "/workers", `{"functions": [{"name": "x"}]}`)
		require.Equal(t, http.StatusServiceUnavailable, w.Code)
	})
}

func TestBadWorkers(t *testing.T) {
	node, _ := start(t)
	must(t, node.Register("taken", func() {}))
	g := newGateway(t, node, gateway.Workers("work*", "taken", "__*"))
	many := strings.TrimSuffix(strings.Repeat(`{"name": "work"},`, 1001), ",")
	for _, c := range []struct {
		body   string
		status int
	}{
		{``, 400}, {`[]`, 400}, {`{}`, 400}, {`{"functions": []}`, 400}, {`{"functions": [` + many + `]}`, 400},
		{`{"functions": [{"name": "work"}], "slots": 1025}`, 400},
		{`{"functions": [{"name": "work"}], "slots": -1}`, 400},
		{`{"functions": [{"name": "work"}], "extra": 1}`, 400},
		{`{"functions": [{"name": "work", "name": "x"}]}`, 400},
		{`{"functions": [{"name": "work"}, {"name": "work"}]}`, 400},
		{`{"functions": [{"name": "other"}]}`, 403}, {`{"functions": [{"name": "__private"}]}`, 403},
		{`{"functions": [{"name": "work1"}, {"name": "taken"}]}`, 400},
	} {
		w := ask(g, "POST", "/workers", c.body)
		require.Equal(t, c.status, w.Code, "%.60s: %s", c.body, w.Body)
		problemOf(t, w)
	}
	for _, s := range node.Services() {
		require.NotEqual(t, "work1", s.Name, "all functions or none")
	}
	for body, want := range map[string]string{
		`{"functions": [{"name": 1}]}`: "functions.name must not be of the type number",
		`[1]`:                          "the body must not be of the type array",
	} {
		require.Equal(t, want, problemOf(t, ask(g, "POST", "/workers", body))["detail"])
	}
	p := enlist(t, g, 1, "work1")
	require.Equal(t, http.StatusNotFound, ask(g, "GET", "/workers/"+p.id+"/next", "").Code, "without the token")
	require.Equal(t, http.StatusNotFound, ask(g, "DELETE", "/workers/"+p.id, "", "Broach-Worker", "x").Code)
	for target, status := range map[string]int{
		"GET /next?wait=x": 400, "GET /next?wait=61": 400, "GET /next?wait=-1": 400, "GET /next?wait=0": 204,
		"POST /next": 405, "GET ": 405, "GET /calls/1": 405, "GET /other": 404, "GET /a/b/c": 404,
	} {
		method, path, _ := strings.Cut(target, " ")
		require.Equal(t, status, p.ask(method, path, "").Code, target)
	}
	for _, body := range []string{``, `{}`, `{"value": 1, "error": {}}`, `{"value": 1e999}`,
		`{"value": 99999999999999999999}`} {
		require.Equal(t, http.StatusBadRequest, p.post("1", body), body)
	}
	require.Equal(t, http.StatusGone, p.post("1", `{"value": 1}`))
	for i := range 255 {
		enlist(t, g, 1, fmt.Sprint("work", i))
	}
	w := ask(g, "POST", "/workers", `{"functions": [{"name": "work1"}]}`)
	require.Equal(t, http.StatusServiceUnavailable, w.Code, "there are 256")
	require.Equal(t, http.StatusNotFound, ask(newGateway(t, node), "POST", "/workers", `{}`).Code, "without the option")
}

// A gateway that is full of calls which wait for workers takes what comes of them, or nobody would ever be answered.
func TestAFullGatewayTakesResultsOfWorkers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := broachtest.New(t)
		g := newGateway(t, c.Start("gateway"), gateway.Workers("work"), gateway.Expose("work"), gateway.MaxInFlight(1))
		p := enlist(t, g, 1, "work")
		answer := make(chan string, 1)
		go func() { answer <- ask(g, "POST", "/rpc/work", "[]").Body.String() }()
		require.Equal(t, http.StatusNoContent, p.post(p.next().Call, `{"value": 7}`))
		require.Equal(t, "7\n", <-answer)
	})
}

// "204: no new calls come, and those under way have ended, or 30 s have passed": who leaves need not poll.
func TestAWorkerThatLeavesEndsItsCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := broachtest.New(t)
		node, caller := c.Start("gateway"), c.Start("caller")
		g := newGateway(t, node, gateway.Workers("work"))
		p := enlist(t, g, 1, "work")
		c.Settle()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		got := make(chan error, 1)
		go func() { _, err := caller.Caller("work").Call(ctx); got <- err }()
		call, left := p.next(), make(chan int, 1)
		go func() { left <- p.ask("DELETE", "", "").Code }()
		time.Sleep(20 * time.Second)
		require.Equal(t, http.StatusNoContent, p.post(call.Call, `{"value": 1}`))
		require.NoError(t, <-got)
		require.Equal(t, http.StatusNoContent, <-left)
	})
}

// "A call that no worker has fetched has not run": another one of the same gateway gets it.
func TestACallGoesToAnotherWorker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := broachtest.New(t)
		node, caller := c.Start("gateway"), c.Start("caller")
		g := newGateway(t, node, gateway.Workers("work"))
		ends, stays := enlist(t, g, 2, "work"), enlist(t, g, 2, "work")
		c.Settle()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		got := make(chan called, 2)
		for range 2 { // one for each
			go func() {
				v, err := caller.Caller("work").Call(ctx)
				got <- called{v, err}
			}()
		}
		done := make(chan struct{})
		go func() {
			defer close(done)
			for range 2 {
				call := stays.next()
				require.NotZero(t, call.Deadline)
				require.Equal(t, http.StatusNoContent, stays.post(call.Call, `{"value": "stays"}`))
			}
		}()
		require.Equal(t, called{"stays", nil}, <-got)
		require.Equal(t, called{"stays", nil}, <-got, "that of the one which never polled")
		<-done
		time.Sleep(10 * time.Second)
		require.Equal(t, http.StatusNotFound, ends.ask("GET", "/next", "").Code, "it has gone meanwhile")
	})
}

// Where all are quiet, calls wait where they are, in their order.
func TestCallsStayWhereAllAreQuiet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		node := broachtest.New(t).Start("gateway")
		g := newGateway(t, node, gateway.Workers("work"))
		one, other := enlist(t, g, 1, "work"), enlist(t, g, 9, "work")
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		var got [3]chan called
		for i := range got {
			got[i] = make(chan called, 1)
			go func() {
				v, err := node.Caller("work").Call(ctx, i)
				got[i] <- called{v, err}
			}()
			synctest.Wait()
		}
		time.Sleep(8 * time.Second)
		takers := []*program{one, other, other}
		for i, p := range takers { // before one is ready again, who would be given what waits for the other
			require.Equal(t, fmt.Sprint(i+1), p.next().Call)
		}
		for i, p := range takers {
			require.Equal(t, 204, p.post(fmt.Sprint(i+1), `{"value": 1}`))
			require.NoError(t, (<-got[i]).err)
		}
	})
}

// "Who does not poll for 2 s gets no more calls while another one has room, and those that wait for it go there": its
// process may have been killed, and it counts as gone after 10 s only.
func TestCallsGoPastAQuietWorker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := broachtest.New(t)
		node := c.Start("gateway")
		g := newGateway(t, node, gateway.Workers("work"))
		quiet, asks := enlist(t, g, 1000, "work"), enlist(t, g, 1, "work")
		call := func() chan called {
			got := make(chan called, 1)
			go func() {
				v, err := node.Caller("work").Call(t.Context())
				got <- called{v, err}
			}()
			synctest.Wait()
			return got
		}
		serve := func() { require.Equal(t, 204, asks.post(asks.next().Call, `{"value": "asks"}`)) }
		began, first, second := time.Now(), call(), call()
		serve()
		serve() // that which waited for the other one
		require.Equal(t, called{"asks", nil}, <-first)
		require.Equal(t, called{"asks", nil}, <-second)
		require.Less(t, time.Since(began), 4*time.Second)
		for range 5 {
			third := call()
			serve()
			require.Equal(t, called{"asks", nil}, <-third)
		}
		require.Less(t, time.Since(began), 4*time.Second, "nothing waits for it any more")

		busy, late := call(), call() // the other one has one slot
		require.Equal(t, 204, quiet.post(quiet.next().Call, `{"value": "late"}`))
		require.Equal(t, called{"late", nil}, <-late)
		serve()
		require.Equal(t, called{"asks", nil}, <-busy)
	})
}

func TestRoutesNamedLikeWorkers(t *testing.T) {
	node, _ := start(t)
	g := newGateway(t, node, gateway.Workers("work"), gateway.Route("GET /workers-of/{a}/{b}", "add"))
	require.Equal(t, "3\n", ask(g, "GET", "/workers-of/1/2", "").Body.String())
}
