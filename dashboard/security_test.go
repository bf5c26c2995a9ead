package dashboard

import (
	"bytes"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"broach/broachtest"
)

func mustParse(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }

// "Without Token and Auth the page serves this machine only".
func TestThePageIsClosedByDefault(t *testing.T) {
	p := pageOf(t, broachtest.New(t).Start("shop"))
	for _, c := range []struct {
		name   string
		change func(r *http.Request) *http.Request
		status int
	}{
		{"from here", func(r *http.Request) *http.Request { return r }, 200},
		{"from here, IPv6", func(r *http.Request) *http.Request { return from(r, "[::1]:8088", "[::1]:50000") }, 200},
		{"to an address of others", func(r *http.Request) *http.Request {
			r.Host = "10.1.1.1"
			return from(r, "10.1.1.1:8088", "10.1.1.1:50000")
		}, 403},
		{"from elsewhere", func(r *http.Request) *http.Request { return from(r, "127.0.0.1:8088", "10.1.1.2:1") }, 403},
		{"from nowhere", func(r *http.Request) *http.Request { r.RemoteAddr = "?"; return r }, 403},
		{"by a proxy", func(r *http.Request) *http.Request {
			r.Header.Set("X-Forwarded-For", "1.1.1.1")
			return r
		}, 403},
		{"by rebinding", func(r *http.Request) *http.Request { r.Host = "evil.example:8088"; return r }, 403},
		{"localhost", func(r *http.Request) *http.Request { r.Host = "LOCALHOST:8088"; return r }, 200},
		{"by a page of another site", func(r *http.Request) *http.Request {
			r.Header.Set("Sec-Fetch-Site", "cross-site")
			return r
		}, 403},
	} {
		for _, path := range []string{"/", "/api/me"} {
			require.Equal(t, c.status, ask(p, c.change(request("GET", path, ""))).Code, "%s: %s", c.name, path)
		}
	}
	w := ask(p, request("GET", "/", ""))
	require.Contains(t, w.Header().Get("Content-Security-Policy"), "default-src 'none'; script-src 'self'")
	require.NotContains(t, w.Header().Get("Content-Security-Policy"), "unsafe")
	require.Equal(t, "nosniff", w.Header().Get("X-Content-Type-Options"))
}

// A link on another site may lead here: people follow it. What it cannot do is read or send.
func TestALinkOfAnotherSiteLeadsHere(t *testing.T) {
	p := pageOf(t, broachtest.New(t).Start("shop"))
	r := request("GET", "/", "")
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	r.Header.Set("Sec-Fetch-Mode", "navigate")
	require.Equal(t, 200, ask(p, r).Code)
}

func TestNothingCanBeDoneWithoutAToken(t *testing.T) {
	n := broachtest.New(t).Start("shop")
	p := pageOf(t, n)
	require.NoError(t, n.Register("add", func(x, y int) int { return x + y }))
	require.Equal(t, 403, ask(p, request("POST", "/api/call", `{"Name":"add","Args":"[1,2]"}`)).Code)
	require.Equal(t, 403, ask(p, request("POST", "/api/do", `{"Do":"leave"}`)).Code)
	require.Equal(t, 403, ask(p, request("GET", "/api/topic?name=add", "")).Code)
	require.Equal(t, 401, ask(p, request("POST", "/api/login", `{"Token":""}`)).Code)
}

func TestATokenIsExchangedForACookie(t *testing.T) {
	p := pageOf(t, broachtest.New(t).Start("shop"), Token(token), Hosts("page.example"))
	far := func(r *http.Request) *http.Request {
		r.Host = "page.example"
		return from(r, "10.1.1.1:8088", "10.1.1.2:50000")
	}
	require.Equal(t, 200, ask(p, far(request("GET", "/app.js", ""))).Code, "the files are no secret")
	require.Equal(t, 401, ask(p, far(request("GET", "/api/me", ""))).Code)
	require.Equal(t, 401, ask(p, far(request("POST", "/api/login", `{"Token":"`+token+`x"}`))).Code)
	w := ask(p, far(request("POST", "/api/login", `{"Token":"`+token+`"}`)))
	require.Equal(t, 204, w.Code)
	c := w.Result().Cookies()[0]
	require.True(t, c.HttpOnly)
	require.Equal(t, http.SameSiteStrictMode, c.SameSite)
	require.Equal(t, 12*60*60, c.MaxAge)

	with := func(value string) int {
		r := far(request("GET", "/api/me", ""))
		r.AddCookie(&http.Cookie{Name: c.Name, Value: value})
		return ask(p, r).Code
	}
	require.Equal(t, 200, with(c.Value))
	end, seal, _ := strings.Cut(c.Value, ".")
	for _, forged := range []string{"", end, "9" + end + "." + seal, end + ".", "." + seal, c.Value + "x"} {
		require.Equal(t, 401, with(forged), "%q", forged)
	}
	require.Equal(t, 200, ask(p, authorized(far(request("GET", "/api/me", "")))).Code)
	r := far(request("GET", "/api/me", ""))
	r.Header.Set("Authorization", "Bearer "+token[1:])
	require.Equal(t, 401, ask(p, r).Code)
}

func TestACookieEnds(t *testing.T) {
	g := newGuard(&settings{tokens: []string{token}}, "10.0.0.1:7000")
	now := time.Now()
	c := g.newCookie(request("GET", "/", ""), now)
	require.True(t, g.isOurs(c.Value, now.Add(cookieLife-2*time.Second)))
	require.False(t, g.isOurs(c.Value, now.Add(cookieLife)))
	other := newGuard(g.set, "10.0.0.1:7000")
	require.False(t, other.isOurs(c.Value, now), "of an earlier process")
}

// "one line a second": whoever can send wrong tokens fills no log.
func TestWrongTokensFillNoLog(t *testing.T) {
	var out bytes.Buffer
	g, now := newGuard(&settings{tokens: []string{token}}, "10.0.0.1:7000"), time.Now()
	for i := range 1000 {
		g.tellOf(slog.New(slog.NewTextHandler(&out, nil)), "10.1.1.1:5", now.Add(time.Duration(i)*10*time.Millisecond))
	}
	require.Equal(t, 10, bytes.Count(out.Bytes(), []byte("\n")))
	require.Contains(t, out.String(), "times=100")
	require.NotContains(t, out.String(), token)
}

// A form of another site can send text, a page of another site no JSON.
func TestOtherSitesSendNothing(t *testing.T) {
	p := pageOf(t, broachtest.New(t).Start("shop"), Token(token), AllowCalls("*"))
	send := func(change func(r *http.Request)) int {
		r := authorized(request("POST", "/api/call", `{"Name":"add","Args":"[]"}`))
		change(r)
		return ask(p, r).Code
	}
	require.Equal(t, 400, send(func(r *http.Request) { r.Header.Set("Content-Type", "text/plain") }))
	require.Equal(t, 400, send(func(r *http.Request) { r.Header.Del("Content-Type") }))
	require.Equal(t, 403, send(func(r *http.Request) { r.Header.Set("Origin", "https://evil.example") }))
	require.Equal(t, 403, send(func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "same-site") }))
	require.Equal(t, 413, ask(p, authorized(request("POST", "/api/call",
		`{"Name":"`+strings.Repeat("x", bodyMost)+`"}`))).Code)
}

func TestAuthSaysWhoMayLook(t *testing.T) {
	p := pageOf(t, broachtest.New(t).Start("shop"), Auth(func(r *http.Request) (string, error) {
		if r.Header.Get("X-User") != "ann" {
			return "", errStranger
		}
		return "ann", nil
	}))
	require.Equal(t, 401, ask(p, request("GET", "/api/me", "")).Code)
	r := request("GET", "/api/me", "")
	r.Header.Set("X-User", "ann")
	require.Equal(t, 200, ask(p, r).Code)
	require.Equal(t, 401, ask(p, request("POST", "/api/login", `{"Token":""}`)).Code, "there is no token")
}

// The error names all that is wrong.
func TestMistakesOfOptions(t *testing.T) {
	n := broachtest.New(t).Start("shop")
	for want, opts := range map[string][]Option{
		"is short":         {Token("secret")},
		"both say":         {Token(token), Auth(func(*http.Request) (string, error) { return "", nil })},
		"need Token":       {AllowCalls("*")},
		"no pattern":       {Token(token), AllowCalls("[")},
		"from 200 ms":      {Every(time.Millisecond)},
		"function is nil":  {Auth(nil)},
		"option is nil":    {nil},
		"no name of a":     {Hosts("*")},
		"Logger: it is":    {Logger(nil)},
		"given twice":      {Token(token), Token(token)},
		"allows nothing":   {Token(token), AllowCalls()},
		"need Token or Au": {AllowActions()},
	} {
		_, err := New(n, opts...)
		require.ErrorContains(t, err, want)
		require.EqualError(t, Check(opts...), err.Error())
	}
	require.NoError(t, Check(Token(token), AllowCalls("*")))
	_, err := New(nil, Token("short"), Every(0))
	require.ErrorContains(t, err, "node is nil")
	require.ErrorContains(t, err, "is short")
	require.ErrorContains(t, err, "from 200 ms")
}
