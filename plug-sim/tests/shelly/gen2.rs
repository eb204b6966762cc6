//! The second generation.

use super::*;

fn plug() -> Device {
    Device::made_at(Profile::shelly_gen2_2_0(), Duration::from_secs(1_700_000_000))
}

fn frame(plug: &mut Device, frame: &Value) -> Value {
    plug.handle(&Request::post("/rpc", &frame.to_string())).json()
}

#[test]
fn a_method_is_asked_by_get_by_post_and_by_frame() {
    let mut plug = plug();
    assert_eq!(get(&mut plug, "/rpc/Switch.Set?id=0&on=true"), (200, json!({ "was_on": false })));
    let off = Request::post("/rpc/Switch.Set", r#"{"id":0,"on":false}"#);
    assert_eq!(plug.handle(&off).json(), json!({ "was_on": true }));
    let asked =
        json!({ "id": 7, "src": "me", "method": "Switch.Set", "params": { "id": 0, "on": true } });
    let id = "shellyplusplugs-02a0b1c2d3e4";
    let answer = json!({ "id": 7, "src": id, "dst": "me", "result": { "was_on": false } });
    assert_eq!(frame(&mut plug, &asked), answer);
}

#[test]
fn a_running_timer_is_told_by_its_start_and_its_length_on_the_plugs_clock() {
    let mut plug = plug();
    get(&mut plug, "/rpc/Switch.Set?id=0&on=true&toggle_after=60");
    plug.advance(seconds(15));
    let (_, status) = get(&mut plug, "/rpc/Switch.GetStatus?id=0");
    assert_eq!(
        (&status["timer_started_at"], &status["timer_duration"]),
        (&json!(1_700_000_000.0), &json!(60.0))
    );
    assert_eq!(get(&mut plug, "/rpc/Sys.GetStatus").1["unixtime"], 1_700_000_015);
    plug.advance(seconds(45));
    let (_, status) = get(&mut plug, "/rpc/Switch.GetStatus?id=0");
    assert!(status.get("timer_duration").is_none() && status["output"] == false, "{status}");
}

#[test]
fn a_clock_that_was_never_set_tells_no_time() {
    let mut plug = plug();
    plug.set_clock(PlugClock::Unset);
    plug.advance(seconds(5));
    let (_, status) = get(&mut plug, "/rpc/Sys.GetStatus");
    assert_eq!(
        (&status["unixtime"], &status["time"], &status["uptime"]),
        (&json!(null), &json!(null), &json!(5))
    );
    get(&mut plug, "/rpc/Switch.Set?id=0&on=true&toggle_after=60");
    assert_eq!(get(&mut plug, "/rpc/Switch.GetStatus?id=0").1["timer_started_at"], 5.0);
}

#[test]
fn energy_is_counted_in_watt_hours_and_a_model_without_a_meter_tells_none() {
    let mut plug = plug();
    get(&mut plug, "/rpc/Switch.Set?id=0&on=true");
    plug.advance(seconds(1_800));
    let (_, status) = get(&mut plug, "/rpc/Switch.GetStatus?id=0");
    assert_eq!((&status["apower"], &status["aenergy"]["total"]), (&json!(60.0), &json!(30.0)));
    let mut bare = Device::new(Profile { meter: false, ..Profile::shelly_gen2_1_7() });
    let (_, status) = get(&mut bare, "/rpc/Switch.GetStatus?id=0");
    assert!(status.get("apower").is_none() && status.get("aenergy").is_none(), "{status}");
}

#[test]
fn refusals_have_a_code_and_a_message() {
    let mut plug = plug();
    for (target, status, code, message) in [
        ("/rpc/Switch.Joy?id=0", 404, 404, "No handler for Switch.Joy"),
        ("/rpc/Switch.Set?on=true", 500, -103, "Missing required argument 'id'!"),
        ("/rpc/Switch.Set?id=0", 500, -103, "Missing required argument 'on'!"),
        ("/rpc/Switch.Set?id=0&on=maybe", 500, -103, "Invalid argument 'on'!"),
        ("/rpc/Switch.Set?id=9&on=true", 500, -105, "Argument 'id', value 9 not found!"),
    ] {
        assert_eq!(get(&mut plug, target), (status, json!({ "code": code, "message": message })));
    }
    let refused = frame(&mut plug, &json!({ "id": 1, "method": "Switch.Joy" }));
    assert_eq!(refused["error"]["code"], 404);
    assert!(plug.history().is_empty());
}

#[test]
fn a_result_may_be_null_and_a_method_may_be_gone() {
    let mut plug = plug();
    plug.set_fault_for(Fault::NullResult, 1);
    let asked = json!({ "id": 1, "method": "Switch.GetStatus", "params": { "id": 0 } });
    assert_eq!(frame(&mut plug, &asked)["result"], json!(null));
    plug.set_fault_for(Fault::NullResult, 1);
    assert_eq!(
        plug.handle(&Request::get("/rpc/Switch.GetStatus?id=0")).response(),
        Some((200, "null"))
    );
    plug.set_fault(Fault::NoHandler);
    let gone = json!({ "code": 404, "message": "No handler for Switch.Set" });
    assert_eq!(get(&mut plug, "/rpc/Switch.Set?id=0&on=true"), (404, gone));
    assert!(!plug.is_on(1));
}

#[test]
fn errors_are_told_and_the_output_is_off() {
    let mut plug = plug();
    get(&mut plug, "/rpc/Switch.Set?id=0&on=true");
    plug.set_error(1, Some("overtemp"));
    let (_, status) = get(&mut plug, "/rpc/Switch.GetStatus?id=0");
    assert_eq!((&status["output"], &status["errors"]), (&json!(false), &json!(["overtemp"])));
    plug.set_error(1, None);
    assert!(get(&mut plug, "/rpc/Switch.GetStatus?id=0").1.get("errors").is_none());
}

#[test]
fn settings_are_told_as_they_were_set_and_nonsense_is_refused_whole() {
    let mut plug = plug();
    let config = r#"{"id":0,"config":{"name":"till","initial_state":"restore_last","auto_off":true,"auto_off_delay":3600}}"#;
    let set = plug.handle(&Request::post("/rpc/Switch.SetConfig", config));
    assert_eq!(set.json(), json!({ "restart_required": false }));
    let (_, told) = get(&mut plug, "/rpc/Switch.GetConfig?id=0");
    assert_eq!((&told["name"], &told["initial_state"]), (&json!("till"), &json!("restore_last")));
    assert_eq!((&told["auto_off"], &told["auto_off_delay"]), (&json!(true), &json!(3600.0)));
    let config = r#"{"id":0,"config":{"auto_off":false,"initial_state":"banana"}}"#;
    assert_eq!(
        plug.handle(&Request::post("/rpc/Switch.SetConfig", config)).response().unwrap().0,
        500
    );
    assert_eq!(get(&mut plug, "/rpc/Switch.GetConfig?id=0").1["auto_off"], true);
    assert_eq!(plug.flash_writes(), 1);
}
