BEGIN TRANSACTION;
CREATE TABLE admin_tokens (
	id TEXT NOT NULL, 
	name TEXT NOT NULL, 
	role TEXT NOT NULL, 
	digest BLOB NOT NULL, 
	pepper TEXT NOT NULL, 
	prefix TEXT NOT NULL, 
	created_at FLOAT NOT NULL, 
	created_by TEXT NOT NULL, 
	expires_at FLOAT, 
	revoked_at FLOAT, 
	last_used_at FLOAT, 
	CONSTRAINT pk_admin_tokens PRIMARY KEY (id), 
	CONSTRAINT uq_admin_tokens_digest UNIQUE (digest)
);
INSERT INTO "admin_tokens" VALUES('adm_GQkBPDkiVpAl','ops','operator',X'6F913A5DB0A58191A2352F401CFC6D83BAAE40CBCCE638C3A86691935E7DE4A2','0316787dba314fd8','wg-admin-czJzcF',1.79583624119758081434e+09,'cli:root',NULL,NULL,NULL);
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0004');
CREATE TABLE alert_deliveries (
	alert_id INTEGER NOT NULL, 
	url TEXT NOT NULL, 
	next_at FLOAT NOT NULL, 
	failures INTEGER NOT NULL, 
	error TEXT, 
	firing_acked_at FLOAT, 
	resolved_acked_at FLOAT, 
	CONSTRAINT pk_alert_deliveries PRIMARY KEY (alert_id, url), 
	CONSTRAINT fk_alert_deliveries_alert_id FOREIGN KEY(alert_id) REFERENCES alerts (id) ON DELETE CASCADE
);
CREATE TABLE alerts (
	id INTEGER NOT NULL, 
	fingerprint TEXT NOT NULL, 
	labels TEXT NOT NULL, 
	count INTEGER NOT NULL, 
	raised_at FLOAT NOT NULL, 
	last_at FLOAT NOT NULL, 
	resolved_at FLOAT, 
	first_exchange_at FLOAT NOT NULL, 
	last_exchange_at FLOAT NOT NULL, 
	last_exchange_id TEXT NOT NULL, 
	score FLOAT NOT NULL, 
	threshold FLOAT NOT NULL, 
	CONSTRAINT pk_alerts PRIMARY KEY (id)
);
INSERT INTO "alerts" VALUES(1,'c9ae39ac9d1f6457539c066501cb45de','{"alertname": "WatchgateMisuse", "category": "any", "detector": "detector", "enforced": "blocked", "model": "model", "part": "part", "point": "op_page"}',1,1.79583624370420455928e+09,1.79583624370420455928e+09,NULL,1.5,1.5,'ex-1',0.9,0.5);
CREATE TABLE audit (
	seq INTEGER NOT NULL, 
	at FLOAT NOT NULL, 
	actor TEXT NOT NULL, 
	action TEXT NOT NULL, 
	object TEXT NOT NULL, 
	"before" TEXT, 
	"after" TEXT, 
	reason TEXT, 
	mac BLOB NOT NULL, 
	CONSTRAINT pk_audit PRIMARY KEY (seq)
);
INSERT INTO "audit" VALUES(1,1.79583623959439110757e+09,'cli:root','organisation.create','organisation/acme',NULL,'{}',NULL,X'25036464670B494A0175CE82A882E7FAD7F59E863456E9BEF77240AA89231C1E');
INSERT INTO "audit" VALUES(2,1.79583623975818705556e+09,'cli:root','project.create','project/search',NULL,'{"end_user_key":null,"organisation":"acme","rules":{"max_tokens":512,"models":["llama"]}}',NULL,X'DF09E276D0BFED7FF3CC0596F9C6CFAAB8CD247B754849DBF05111E6B438DA96');
INSERT INTO "audit" VALUES(3,1.79583623993437290194e+09,'cli:root','service_account.create','service_account/sva_FoQODg2wFelR',NULL,'{"name":"bot","project":"search"}',NULL,X'477EF676F3FF095FFD97F7E125F6B4B4A3483382CCEAB18F10C40937C0464CFF');
INSERT INTO "audit" VALUES(4,1.79583624013810801501e+09,'cli:root','key.create','key/key_zSByQeUo8NwK',NULL,'{"expires_at":null,"name":"good","prefix":"sk-wg-5kwmII","project":"search","rules":{},"service_account":null}',NULL,X'DD91EAAB9BD773EE16F15AF3A913D35A0B80220EB45FC0DE69EE9CD22BF25FD8');
INSERT INTO "audit" VALUES(5,1.79583624030705690387e+09,'cli:root','key.create','key/key_4BwBu5Yyu5V_',NULL,'{"expires_at":null,"name":"narrow","prefix":"sk-wg-6hotwg","project":"search","rules":{"addresses":["10.0.0.0/8"]},"service_account":null}',NULL,X'A80DA8DDD9AA5713E24BCF0309E46038DF8818025D617DD1D18A22D944266B74');
INSERT INTO "audit" VALUES(6,1.79583624050659394267e+09,'cli:root','key.create','key/key_YSZqHkJ2-2J7',NULL,'{"expires_at":null,"name":"revoked","prefix":"sk-wg-YJPH1D","project":"search","rules":{},"service_account":null}',NULL,X'7E7433A9996FDDE3704D2C5FAE1ABB507860C258CC9CD999029525F151A8EE21');
INSERT INTO "audit" VALUES(7,1.79583624068820095062e+09,'cli:root','limit.set','limit/project/search','{"requests_per_min":null}','{"requests_per_min":60}',NULL,X'057A56753EE3AED3A8EDEFA51253DDBB2B8A06483DD446C67184523EECE7947D');
INSERT INTO "audit" VALUES(8,1.79583624086195206646e+09,'cli:root','project.create','project/loud',NULL,'{"end_user_key":null,"organisation":"acme","rules":{}}',NULL,X'8C49223E80AEBD10506D8CA39F97BC352CAFBF495EB3B68BF6D6B42899C6F5B1');
INSERT INTO "audit" VALUES(9,1.79583624103818798069e+09,'cli:root','account.suspend','account/loud','{"state":"good"}','{"state":"suspended"}','frozen',X'24BB00E2ADE81AD3ABE59E39A27B69AA36DD6A408215703104358D9BC9218575');
INSERT INTO "audit" VALUES(10,1.79583624119758105278e+09,'cli:root','token.create','token/adm_GQkBPDkiVpAl',NULL,'{"expires_at":null,"name":"ops","prefix":"wg-admin-czJzcF","role":"operator"}',NULL,X'73F26AF862E1ED8FE6D667694EE50258BAFE6A7B82A1B62FAA162A9A7C626BA9');
INSERT INTO "audit" VALUES(11,1795836241.38519,'cli:root','point.propose','point/op_W16ezEgTq2FV',NULL,'{"action":"case","category":"any","detector":"lexical","expires_at":null,"measured":null,"models":[],"owner":"frozen","part":"prompt","project":null,"surface":null,"threshold":0.9,"tier":null,"version":1}','frozen',X'4BB853D8F67EE42C77DD16B18C48AD9F114209FEB227EB6497BE6B8143A750E7');
INSERT INTO "audit" VALUES(12,1.79583624289425611494e+09,'cli:root','key.revoke','key/key_YSZqHkJ2-2J7',NULL,NULL,NULL,X'C4DE6EC0B3B780A518D84A98AA37910A614350542A4A7AC17D8B9BAB359C6E4A');
INSERT INTO "audit" VALUES(13,1.79583624328309488299e+09,'cli:root','point.promote','point/op_W16ezEgTq2FV',NULL,'{"action":"case","category":"any","detector":"lexical","expires_at":null,"measured":null,"models":[],"owner":"frozen","part":"prompt","project":null,"surface":null,"threshold":0.9,"tier":null,"version":1}','frozen',X'24C899A5614DEDC31604F2AEA16E6A08F6656BA04120725396D7EA0325A3AC28');
INSERT INTO "audit" VALUES(14,1.7958362441003770828e+09,'cli:root','store.backup','store',NULL,'{"mac":"d305114a5cc144f6ce3741085e0aec3a2fa2fe0054e7031c4d6cfded1cc7645f","made_at":"2026-11-28T03:24:03Z","pepper":"0316787dba314fd8","revision":15,"rows":{"admin_tokens":1,"alert_deliveries":0,"alerts":1,"audit":13,"coverage_gaps":1,"effects":1,"heartbeats":1,"keys":3,"limits":1,"organisations":2,"peppers":1,"point_changes":2,"points":1,"projects":2,"service_accounts":1,"standings":1},"schema":"0004","version":"0.1.0"}',NULL,X'5F14A63C1E8A329A107E16EC8F18CDB4EC8F060166703C93323A5D8494B83948');
CREATE TABLE coverage_gaps (
	exchange_id TEXT NOT NULL, 
	kind TEXT NOT NULL, 
	model TEXT NOT NULL, 
	first_seen_at FLOAT NOT NULL, 
	closed_at FLOAT, 
	CONSTRAINT pk_coverage_gaps PRIMARY KEY (exchange_id, kind)
);
INSERT INTO "coverage_gaps" VALUES('ex-3','unrecorded','llama',1.79583624378616714479e+09,NULL);
CREATE TABLE effects (
	verdict_id TEXT NOT NULL, 
	applied_at FLOAT NOT NULL, 
	CONSTRAINT pk_effects PRIMARY KEY (verdict_id)
);
INSERT INTO "effects" VALUES('v-1',1.79583624370420455928e+09);
CREATE TABLE heartbeats (
	worker TEXT NOT NULL, 
	at FLOAT NOT NULL, 
	lag_s FLOAT NOT NULL, 
	CONSTRAINT pk_heartbeats PRIMARY KEY (worker)
);
INSERT INTO "heartbeats" VALUES('screener',1.79583624378077936177e+09,0.5);
CREATE TABLE "keys" (
	id TEXT NOT NULL, 
	project TEXT NOT NULL, 
	digest BLOB NOT NULL, 
	prefix TEXT NOT NULL, 
	created_at FLOAT NOT NULL, 
	created_by TEXT NOT NULL, 
	expires_at FLOAT, 
	revoked_at FLOAT, 
	service_account TEXT, 
	name TEXT, 
	pepper TEXT NOT NULL, 
	rules TEXT, 
	last_used_at FLOAT, 
	revision INTEGER NOT NULL, 
	CONSTRAINT pk_keys PRIMARY KEY (id), 
	CONSTRAINT fk_keys_project FOREIGN KEY(project) REFERENCES projects (name), 
	CONSTRAINT uq_keys_digest UNIQUE (digest), 
	CONSTRAINT fk_keys_service_account FOREIGN KEY(service_account) REFERENCES service_accounts (id)
);
INSERT INTO "keys" VALUES('key_zSByQeUo8NwK','search',X'3FE31C1E596FCBB37F5CE00809113A5634E67E59D138378E83DFE9871515E293','sk-wg-5kwmII',1.79583624013810849188e+09,'cli:root',NULL,NULL,NULL,'good','0316787dba314fd8',NULL,NULL,6);
INSERT INTO "keys" VALUES('key_4BwBu5Yyu5V_','search',X'F9806298B56C2F172656046706C812B2E77A413ED39FB71FF895222510FC7520','sk-wg-6hotwg',1.79583624030705666548e+09,'cli:root',NULL,NULL,NULL,'narrow','0316787dba314fd8','{"addresses":["10.0.0.0/8"]}',NULL,7);
INSERT INTO "keys" VALUES('key_YSZqHkJ2-2J7','search',X'FBBCDD9827BB84C7DC2D33D794824FAA0954E42D3406E68CF4AD163375F53255','sk-wg-YJPH1D',1.7958362405065944195e+09,'cli:root',NULL,1.79583624289425563807e+09,NULL,'revoked','0316787dba314fd8',NULL,NULL,14);
CREATE TABLE limits (
	scope TEXT NOT NULL, 
	subject TEXT NOT NULL, 
	model TEXT NOT NULL, 
	requests_per_min INTEGER, 
	tokens_per_min BIGINT, 
	concurrent_requests INTEGER, 
	tokens_per_day BIGINT, 
	tokens_per_month BIGINT, 
	revision INTEGER NOT NULL, 
	CONSTRAINT pk_limits PRIMARY KEY (scope, subject, model)
);
INSERT INTO "limits" VALUES('project','search','',60,NULL,NULL,NULL,NULL,9);
CREATE TABLE "meta" (
	id INTEGER NOT NULL, 
	revision INTEGER NOT NULL, 
	epoch TEXT NOT NULL, 
	end_user_secret BLOB NOT NULL, readable_from TEXT DEFAULT '' NOT NULL, made_by TEXT DEFAULT '' NOT NULL, 
	CONSTRAINT pk_meta PRIMARY KEY (id), 
	CONSTRAINT ck_meta_ck_meta_one_row CHECK (id = 1)
);
INSERT INTO "meta" VALUES(1,15,'8864c1ae12fe4403',X'20D454223D79E14B866C87B09143A1B70679DA23822478CFF913269123BA13D5','0004','0.1.0');
CREATE TABLE organisations (
	name TEXT NOT NULL, 
	entitlements TEXT NOT NULL, 
	created_at FLOAT NOT NULL, 
	created_by TEXT NOT NULL, 
	disabled_at FLOAT, 
	revision INTEGER NOT NULL, 
	CONSTRAINT pk_organisations PRIMARY KEY (name)
);
INSERT INTO "organisations" VALUES('default','[]',1.79583623903713774684e+09,'migration',NULL,1);
INSERT INTO "organisations" VALUES('acme','[]',1.79583623959439134601e+09,'cli:root',NULL,2);
CREATE TABLE peppers (
	id TEXT NOT NULL, 
	proof BLOB NOT NULL, 
	made_at FLOAT NOT NULL, 
	retired_at FLOAT, 
	CONSTRAINT pk_peppers PRIMARY KEY (id)
);
INSERT INTO "peppers" VALUES('0316787dba314fd8',X'0316787DBA314FD8E5AB778F52D0EDAA63386E6E11423EC117881E147141E23C',1.79583624014182019227e+09,NULL);
CREATE TABLE point_changes (
	point TEXT NOT NULL, 
	number INTEGER NOT NULL, 
	version INTEGER NOT NULL, 
	step TEXT NOT NULL, 
	at FLOAT NOT NULL, 
	"by" TEXT NOT NULL, 
	reason TEXT NOT NULL, 
	CONSTRAINT pk_point_changes PRIMARY KEY (point, number)
);
INSERT INTO "point_changes" VALUES('op_W16ezEgTq2FV',1,1,'propose',1.79583624138518953327e+09,'cli:root','frozen');
INSERT INTO "point_changes" VALUES('op_W16ezEgTq2FV',2,1,'promote',1.79583624328309464455e+09,'cli:root','frozen');
CREATE TABLE points (
	id TEXT NOT NULL, 
	version INTEGER NOT NULL, 
	detector TEXT NOT NULL, 
	category TEXT NOT NULL, 
	part TEXT NOT NULL, 
	threshold FLOAT NOT NULL, 
	action TEXT NOT NULL, 
	tier INTEGER, 
	models TEXT NOT NULL, 
	project TEXT, 
	surface TEXT, 
	owner TEXT NOT NULL, 
	reason TEXT NOT NULL, 
	expires_at FLOAT, 
	measured TEXT, 
	state TEXT NOT NULL, 
	replaces INTEGER, 
	created_at FLOAT NOT NULL, 
	created_by TEXT NOT NULL, 
	revision INTEGER NOT NULL, 
	CONSTRAINT pk_points PRIMARY KEY (id, version)
);
INSERT INTO "points" VALUES('op_W16ezEgTq2FV',1,'lexical','any','prompt',0.9,'case',NULL,'[]',NULL,NULL,'frozen','frozen',NULL,NULL,'active',NULL,1.79583624138518953327e+09,'cli:root',15);
CREATE TABLE projects (
	name TEXT NOT NULL, 
	organisation TEXT NOT NULL, 
	entitlements TEXT NOT NULL, 
	rules TEXT, 
	end_user_key TEXT, 
	created_at FLOAT NOT NULL, 
	created_by TEXT NOT NULL, 
	disabled_at FLOAT, 
	revision INTEGER NOT NULL, 
	CONSTRAINT pk_projects PRIMARY KEY (name), 
	CONSTRAINT fk_projects_organisation FOREIGN KEY(organisation) REFERENCES organisations (name)
);
INSERT INTO "projects" VALUES('search','acme','[]','{"models":["llama"],"max_tokens":512}',NULL,1.79583623975818705556e+09,'cli:root',NULL,4);
INSERT INTO "projects" VALUES('loud','acme','[]',NULL,NULL,1.79583624086195182802e+09,'cli:root',NULL,11);
CREATE TABLE service_accounts (
	id TEXT NOT NULL, 
	project TEXT NOT NULL, 
	name TEXT NOT NULL, 
	entitlements TEXT NOT NULL, 
	created_at FLOAT NOT NULL, 
	created_by TEXT NOT NULL, 
	disabled_at FLOAT, 
	revision INTEGER NOT NULL, 
	CONSTRAINT pk_service_accounts PRIMARY KEY (id), 
	CONSTRAINT fk_service_accounts_project FOREIGN KEY(project) REFERENCES projects (name), 
	CONSTRAINT uq_service_accounts_project UNIQUE (project, name)
);
INSERT INTO "service_accounts" VALUES('sva_FoQODg2wFelR','search','bot','[]',1.79583623993437290194e+09,'cli:root',NULL,5);
CREATE TABLE standings (
	account TEXT NOT NULL, 
	state TEXT NOT NULL, 
	reason TEXT NOT NULL, 
	since FLOAT NOT NULL, 
	"by" TEXT NOT NULL, 
	revision INTEGER NOT NULL, 
	CONSTRAINT pk_standings PRIMARY KEY (account)
);
INSERT INTO "standings" VALUES('loud','suspended','frozen',1.79583624103818750381e+09,'cli:root',12);
CREATE INDEX ix_effects_applied_at ON effects (applied_at);
CREATE UNIQUE INDEX uq_alerts_firing ON alerts (fingerprint) WHERE resolved_at IS NULL;
CREATE INDEX ix_coverage_gaps_closed_at ON coverage_gaps (closed_at);
CREATE INDEX ix_organisations_revision ON organisations (revision);
CREATE INDEX ix_projects_organisation ON projects (organisation);
CREATE INDEX ix_projects_revision ON projects (revision);
CREATE INDEX ix_service_accounts_revision ON service_accounts (revision);
CREATE INDEX ix_keys_project ON keys (project);
CREATE INDEX ix_keys_service_account ON keys (service_account);
CREATE INDEX ix_keys_pepper ON keys (pepper);
CREATE INDEX ix_keys_created_at ON keys (created_at, id);
CREATE INDEX ix_keys_revision ON keys (revision);
CREATE INDEX ix_limits_revision ON limits (revision);
CREATE INDEX ix_standings_revision ON standings (revision);
CREATE TRIGGER audit_no_update BEFORE UPDATE ON audit BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
CREATE TRIGGER audit_no_delete BEFORE DELETE ON audit BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
CREATE TRIGGER audit_appends BEFORE INSERT ON audit WHEN NEW.seq <> (SELECT coalesce(max(seq), 0) + 1 FROM audit) BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
CREATE INDEX ix_points_revision ON points (revision);
COMMIT;
