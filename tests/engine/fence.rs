//! V8: a fence stops whatever writes, on every engine that is there: the one in `PATH`, and those of `REDINIT_TEST_ENGINES`.

use std::time::Duration;

use redinit::core::action::ChildOrder;

use super::node::{Node, engines, refusal, run, say};

/// Every way to write that a client has.
const WRITES: [&str; 5] =
    ["SET a 1", "EVAL return(redis.call('set','a',1)) 1 a", "FCALL put 1 a", "LPUSH l 1", "DEL a"];

#[test]
fn v8_scripts_and_functions_stop_at_the_fence_as_writes_do() {
    for (number, engine) in engines("v8").into_iter().enumerate() {
        run(async {
            let chosen = engine.clone();
            let mut node = Node::server(&format!("127.91.30.{}", number + 1), |settings| {
                settings.engine = chosen;
            })
            .await?;
            let engine = format!("{engine:?}");
            node.ok(ChildOrder::Lead).await;
            node.ok(ChildOrder::OpenDoor).await;
            let client = node.client(None).await.unwrap();
            node.ok(ChildOrder::Unfence).await;
            let library =
                "#!lua name=own\nredis.register_function('put',function(k)return(redis.call('set',k[1],1))end)";
            let mut load = redis::cmd("FUNCTION");
            load.arg("LOAD").arg(library);
            let _name: String = load.query_async(&mut client.clone()).await.unwrap();
            for write in WRITES {
                say(&client, write).await.unwrap_or_else(|error| panic!("{engine}: {write}: {error}"));
            }
            node.ok(ChildOrder::Fence).await;
            for write in WRITES {
                assert!(refusal(say(&client, write).await).contains("NOREPLICAS"), "{engine}: {write} under the fence");
            }
            // A release whose pause has run out.
            node.ok(ChildOrder::Unfence).await;
            node.ok(ChildOrder::Release { pause: Duration::from_millis(50) }).await;
            tokio::time::sleep(Duration::from_millis(100)).await;
            for write in WRITES {
                assert!(refusal(say(&client, write).await).contains("NOREPLICAS"), "{engine}: {write} after the pause");
            }
            Some(())
        });
    }
}
