package gateway

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"broach"
)

// work is what workers ask for: to be one, the next call, to post what came of one, to leave.
func (x *exchange) work(path string) *problem {
	parts := strings.Split(strings.TrimPrefix(path, "/"), "/")
	switch {
	case path == "":
		return x.only(http.MethodPost, func() *problem { return x.limited(x.enlist) })
	}
	w := x.g.workers.find(parts[0], x.r.Header.Get("Broach-Worker"))
	if w == nil {
		return newProblem(http.StatusNotFound, "no-worker",
			"there is no such worker, or not with this token in Broach-Worker: it may have been silent for 10 s")
	}
	switch {
	case len(parts) == 1:
		return x.only(http.MethodDelete, func() *problem { return x.dismiss(w) })
	case len(parts) == 2 && parts[1] == "next":
		return x.only(http.MethodGet, func() *problem { return x.poll(w) })
	case len(parts) == 3 && parts[1] == "calls":
		return x.only(http.MethodPost, func() *problem { // requests under way may all wait for these
			return x.limitedBy(&x.g.posts, func() *problem { return x.finish(w, parts[2]) })
		})
	}
	return notFound("")
}

func (x *exchange) only(method string, do func() *problem) *problem {
	if x.r.Method != method {
		return methodNotAllowed(method, "this is asked for by "+method)
	}
	return do()
}

// readInto reads a body into a struct, and refuses fields that it has not.
func (x *exchange) readInto(v any) *problem {
	media, p := x.media()
	if p != nil {
		return p
	}
	if media != jsonType[0] {
		return unsupported("the body is JSON: say Content-Type: application/json")
	}
	text, p := x.body()
	if p != nil {
		return p
	}
	if _, err := parseJSON(text, &x.meter); err != nil {
		return x.unreadable("", err)
	}
	d := json.NewDecoder(bytes.NewBufferString(text))
	d.DisallowUnknownFields()
	var other *json.UnmarshalTypeError
	switch err := d.Decode(v); {
	case errors.As(err, &other):
		return invalid("", cmp.Or(other.Field, "the body")+" must not be of the type "+other.Value)
	case err != nil:
		return invalid("", strings.TrimPrefix(err.Error(), "json: "))
	}
	return nil
}

// enlist takes a worker in.
func (x *exchange) enlist() *problem {
	var o offering
	if p := x.readInto(&o); p != nil {
		return p
	}
	if o.Slots == 0 {
		o.Slots = slotsUnsaid
	}
	if o.Slots < 0 || o.Slots > slotsMost || len(o.Functions) == 0 || len(o.Functions) > offersMost {
		return invalid("", "a worker has 1 to 1000 functions, and 1 to 1024 slots")
	}
	isNamed := map[string]bool{}
	for _, f := range o.Functions {
		if isNamed[f.Name] {
			return invalid("", "the function "+strconv.Quote(shorten(f.Name))+" is there twice")
		}
		isNamed[f.Name] = true
		if isPrivate(f.Name) || !matchesAny(x.g.set.workers, f.Name) {
			return newProblem(http.StatusForbidden, "name-not-allowed",
				"the gateway's option Workers does not let workers serve "+strconv.Quote(shorten(f.Name)))
		}
	}
	w, token, err := x.g.workers.add(&o, x.began)
	if err != nil {
		return x.problemOf(err)
	}
	x.answer(http.StatusCreated, append(marshal(map[string]string{"id": w.id, "token": token}), '\n'))
	return nil
}

// poll answers with the next call, as soon as there is one.
func (x *exchange) poll(w *worker) *problem {
	wait, p := x.pollTime()
	if p != nil {
		return p
	}
	if x.g.streams.Add(1) > int64(x.g.set.streams) || !x.g.workers.polling(w, 1, x.began) {
		x.g.streams.Add(-1)
		return full("too many polls wait")
	}
	defer func() {
		x.g.streams.Add(-1)
		now := time.Now()
		if x.r.Context().Err() != nil { // its process may have ended
			now = now.Add(workerDropped - workerSilence)
		}
		x.g.workers.polling(w, -1, now)
	}()
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for {
		select {
		case <-w.wakec:
			if j, canceled := x.g.workers.take(w); x.hand(w, j, canceled) {
				return nil
			}
		case <-timer.C:
			x.write(http.StatusNoContent, nil)
			return nil
		case <-w.gonec:
			return newProblem(http.StatusGone, "no-worker", "the worker has left")
		case <-x.r.Context().Done():
			return newProblem(499, "canceled", "the client gave up")
		}
	}
}

func (x *exchange) pollTime() (time.Duration, *problem) {
	text := x.r.URL.Query().Get("wait")
	if text == "" {
		return pollMost / 2, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 || n > int(pollMost/time.Second) {
		return 0, invalid("", "wait is a number of seconds, 0 to 60")
	}
	return time.Duration(n) * time.Second, nil
}

// hand answers with a call, or with one that is given up; false: there is neither.
func (x *exchange) hand(w *worker, j *job, canceled string) bool {
	if canceled != "" {
		x.answer(http.StatusOK, append(marshal(map[string]string{"cancel": canceled}), '\n'))
		return true
	}
	if j == nil {
		return false
	}
	args, err := (&writer{}).append(nil, j.args, nil)
	if err != nil {
		x.g.workers.finish(w, j.id, nil, broach.Errorf(broach.InvalidArgument, "%v, as the worker takes it", err))
		return false
	}
	m := map[string]any{"call": j.id, "function": j.function, "args": json.RawMessage(args), "meta": j.meta,
		"from": j.from}
	if !j.deadline.IsZero() {
		m["deadline_ms"] = max(0, time.Until(j.deadline).Milliseconds())
	}
	x.answer(http.StatusOK, append(marshal(m), '\n'))
	return true
}

// An outcome is what a worker posts: a value or an error.
type outcome struct {
	Value json.RawMessage `json:"value"`
	Error *struct {
		Code    json.RawMessage `json:"code"` // a name, or a number from 1000 up
		Message string          `json:"message"`
	} `json:"error"`
}

// finish takes what came of a call.
func (x *exchange) finish(w *worker, id string) *problem {
	var o outcome
	if p := x.readInto(&o); p != nil {
		return p
	}
	if (o.Value == nil) == (o.Error == nil) {
		return invalid("", "a call has a value or an error: null is a value")
	}
	v, err := o.result(&x.meter)
	if err != nil && o.Error == nil {
		return x.unreadable("", err)
	}
	if !x.g.workers.finish(w, id, v, err) {
		return newProblem(http.StatusGone, "call-over", "nobody waits for this call any more")
	}
	x.write(http.StatusNoContent, nil)
	return nil
}

// result is what the function is to return.
func (o *outcome) result(m *meter) (any, error) {
	if o.Error != nil {
		return nil, broach.Errorf(codeOf(string(o.Error.Code)), "%s", o.Error.Message)
	}
	v, err := parseJSON(string(o.Value), m)
	if err != nil {
		return nil, err
	}
	return natural(v)
}

// codeOf reads a code by its name or number; anything else is Application.
func codeOf(text string) broach.Code {
	if n, err := strconv.ParseUint(text, 10, 32); err == nil && n >= 1000 {
		return broach.Code(n)
	}
	for code := range rowsOfCodes {
		if strconv.Quote(code.String()) == text {
			return code
		}
	}
	return broach.Application
}

// dismiss lets a worker go when its calls are over.
func (x *exchange) dismiss(w *worker) *problem {
	emptyc := x.g.workers.leave(w)
	timer := time.NewTimer(leaveMost)
	defer timer.Stop()
	select {
	case <-emptyc: // for ever, if somebody waits already
	case <-timer.C:
	case <-w.gonec:
	case <-x.r.Context().Done():
	}
	x.g.workers.dismiss(w)
	x.write(http.StatusNoContent, nil)
	return nil
}

func (ws *workers) dismiss(w *worker) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	ws.end(w)
}
